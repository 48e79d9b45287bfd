//! Events read back as they were written, and garbage is refused.

use super::*;

fn codec() -> Codec {
    Codec::new(BackboneSchema::ALL.into_iter().zip((1..).map(SchemaId)).collect())
}

fn lineage() -> LineageEvent {
    LineageEvent {
        kind: LineageKind::Enforced,
        product: "orders.orders".parse().unwrap(),
        version: "1.2.0".parse().unwrap(),
        inbox: Topic::existing("inbox.orders.orders.v1"),
        partition: Partition(3),
        from: Offset(10),
        to: Offset(20),
        topic: Topic::existing("orders.orders.v1"),
        quarantine: Topic::existing("quarantine.orders.orders.v1"),
        forwarded: vec![Run { first: Offset(10), count: 9, output_first: Offset(100) }],
        quarantined: vec![Run { first: Offset(19), count: 1, output_first: Offset(0) }],
        withheld: vec![],
        schema_ids: vec![SchemaId(7)],
        judged_at: Timestamp(1_700_000_000_000),
        catalog_offset: Offset(4),
        code_version: "0.1.0".to_owned(),
    }
}

#[test]
fn every_event_reads_back_as_it_was_written() {
    let codec = codec();
    let event = lineage();
    let bytes = codec.encode(BackboneSchema::Lineage, &event);
    assert_eq!(codec.decode::<LineageEvent>(BackboneSchema::Lineage, &bytes).unwrap(), event);

    let state = ProductState {
        product: event.product.clone(),
        title: "Orders".to_owned(),
        owner: Some("orders team".to_owned()),
        purpose: None,
        status: "active".to_owned(),
        majors: vec![MajorState {
            major: Major(1),
            version: event.version,
            previous: Some("1.1.0".parse().unwrap()),
            inbox: event.inbox.clone(),
            topic: event.topic.clone(),
            quarantine: event.quarantine.clone(),
            partitions: 6,
            schema_id: SchemaId(u32::MAX),
        }],
        decided_at: Timestamp(1),
        decided_by: "me".to_owned(),
    };
    let bytes = codec.encode(BackboneSchema::ProductState, &state);
    assert_eq!(codec.decode::<ProductState>(BackboneSchema::ProductState, &bytes).unwrap(), state);

    let contract = ContractVersion {
        product: event.product.clone(),
        version: event.version,
        document: "kind: DataContract".to_owned(),
        schema: "\"string\"".to_owned(),
        schema_id: SchemaId(7),
        applied_at: Timestamp(1),
        applied_by: "me".to_owned(),
        breaking_reason: None,
    };
    let bytes = codec.encode(BackboneSchema::ContractVersion, &contract);
    assert_eq!(codec.decode::<ContractVersion>(BackboneSchema::ContractVersion, &bytes).unwrap(), contract);

    let quality = QualityEvent {
        product: event.product.clone(),
        version: event.version,
        inbox: event.inbox.clone(),
        partition: event.partition,
        from: event.from,
        to: event.to,
        judged_at: event.judged_at,
        consumed: 10,
        forwarded: 9,
        replaced: 0,
        quarantined: 1,
        withheld: 0,
        bytes: 1000,
        violations: vec![ViolationCount { rule: "a:minimum".to_owned(), enforced: true, count: 2, records: 1 }],
        fields: vec![FieldQuality {
            path: "a".to_owned(),
            count: 9,
            nulls: 0,
            min: Some(0.5),
            max: None,
            distinct: Some(vec![0, 255]),
            histogram: vec![Bucket { index: -3, count: 9 }],
        }],
        delay: vec![],
    };
    let bytes = codec.encode(BackboneSchema::Quality, &quality);
    assert_eq!(codec.decode::<QualityEvent>(BackboneSchema::Quality, &bytes).unwrap(), quality);

    let audit = AuditEvent {
        at: Timestamp(5),
        by: "me".to_owned(),
        action: "apply".to_owned(),
        product: Some(event.product),
        detail: "1.2.0".to_owned(),
    };
    let bytes = codec.encode(BackboneSchema::Audit, &audit);
    assert_eq!(codec.decode::<AuditEvent>(BackboneSchema::Audit, &bytes).unwrap(), audit);
}

#[test]
fn a_newer_event_stops_the_reader() {
    let mut codec = codec();
    let newer = BackboneSchema::Lineage.text().replace("\"weir.version\": 1", "\"weir.version\": 2");
    let error = codec.learn(BackboneSchema::Lineage, SchemaId(99), &newer).unwrap_err();
    assert!(error.to_string().contains("upgrade this program first"), "{error}");
}

#[test]
fn an_unknown_writer_schema_is_asked_for_and_learnt() {
    let writer = codec();
    let bytes = writer.encode(BackboneSchema::Lineage, &lineage());
    let mut reader = Codec::default();
    let unknown = reader.decode::<LineageEvent>(BackboneSchema::Lineage, &bytes).unwrap_err();
    let DecodeError::UnknownSchema(id) = unknown else { panic!("{unknown}") };
    reader.learn(BackboneSchema::Lineage, id, BackboneSchema::Lineage.text()).unwrap();
    assert_eq!(reader.decode::<LineageEvent>(BackboneSchema::Lineage, &bytes).unwrap(), lineage());
}

#[test]
fn garbage_is_an_error_and_not_a_panic() {
    let codec = codec();
    let bytes = codec.encode(BackboneSchema::Lineage, &lineage());
    for cut in 0..bytes.len() {
        assert!(codec.decode::<LineageEvent>(BackboneSchema::Lineage, &bytes[..cut]).is_err());
    }
}

#[test]
fn runs_lengthen_only_where_both_sides_continue() {
    let mut runs = Vec::new();
    for (input, output) in [(5, 50), (6, 51), (8, 52), (9, 54), (10, 55)] {
        Run::push(&mut runs, Offset(input), Some(Offset(output)));
    }
    let run = |first, count, output| Run { first: Offset(first), count, output_first: Offset(output) };
    assert_eq!(runs, [run(5, 2, 50), run(8, 1, 52), run(9, 2, 54)]);
    assert_eq!(runs[2].output_of(Offset(10)), Some(Offset(55)));
    assert_eq!(runs[2].input_of(Offset(55)), Some(Offset(10)));
    assert_eq!(runs[2].output_of(Offset(11)), None);
}

#[test]
fn catalog_keys_read_back() {
    for key in [
        CatalogKey::Product("orders.orders".parse().unwrap()),
        CatalogKey::Contract("orders.orders".parse().unwrap(), "1.0.0".parse().unwrap()),
    ] {
        assert_eq!(CatalogKey::parse(&key.to_bytes()), Some(key));
    }
    assert_eq!(CatalogKey::parse(b"something/else"), None);
}
