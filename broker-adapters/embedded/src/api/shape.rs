//! Looks whether a request has what its lengths and counts promise, before memory is set aside for it: the decoder
//! of the protocol crate believes a count of two billion.
//!
//! The table says the fields of each request in Kafka's message definitions (`clients/src/main/resources/common/
//! message`), in the order of the wire: `1 2 4 8 16` so many bytes, `s` a string, `b` bytes, `*x` an array of such,
//! `[…]` an array of structures, `(…)` a structure, `?(…)` one that may be missing, `#N:x` the tagged field N;
//! `@2-5` only in these versions. A test holds it to what the crate writes and reads.

use std::sync::LazyLock;

use kafka_protocol::messages::ApiKey;

/// Elements of all arrays of a request together; a request for every partition there may be has fewer.
const ELEMENTS: usize = 200_000;

/// By API: the first version with compact lengths and tagged fields (KIP-482), and the fields.
const TABLE: &[(ApiKey, i16, &str)] = &[
    (ApiKey::Produce, 9, "s 2 4 [s@-12 16@13- [4 b]]"),
    (
        ApiKey::Fetch,
        12,
        "4@-14 4 4 4 1 4@7- 4@7- [s@-12 16@13- [4 4@9- 8 4@12- 8@5- 4 #0:16@17- #1:8@18-]] [s 16@13- *4@7-]@7- s@11- #0:s #1:(4@15- 8@15-)@15-",
    ),
    (ApiKey::ListOffsets, 6, "4 1@2- [s [4 4@4- 8]] 4@10-"),
    (ApiKey::Metadata, 9, "[16@10- s] 1@4- 1@8-10 1@8-"),
    (ApiKey::OffsetCommit, 8, "s 4 s s@7- 8@-4 [s [4 8 4@6- s]]"),
    (ApiKey::OffsetFetch, 6, "s@-7 [s@-7 *4@-7]@-7 [s@8- s@9- 4@9- [s@8- *4@8-]@8-]@8- 1@7-"),
    (ApiKey::FindCoordinator, 3, "s@-3 1@1- *s@4-"),
    (ApiKey::JoinGroup, 6, "s 4 4@1- s s@5- s [s b] s@8-"),
    (ApiKey::Heartbeat, 4, "s 4 s s@3-"),
    (ApiKey::LeaveGroup, 4, "s s@-2 [s@3- s@3- s@5-]@3-"),
    (ApiKey::SyncGroup, 4, "s 4 s s@3- s@5- s@5- [s b]"),
    (ApiKey::DescribeGroups, 5, "*s 1@3-"),
    (ApiKey::ListGroups, 3, "*s@4- *s@5-"),
    (ApiKey::ApiVersions, 3, "s@3- s@3-"),
    (ApiKey::CreateTopics, 5, "[s 4 2 [4 *4] [s s]] 4 1"),
    (ApiKey::DeleteTopics, 4, "[s@6- 16@6-]@6- *s@-5 4"),
    (ApiKey::DeleteRecords, 2, "[s [4 8]] 4"),
    (ApiKey::InitProducerId, 2, "s 4 8@3- 2@3-"),
    (ApiKey::OffsetForLeaderEpoch, 4, "4@3- [s [4 4 4]]"),
    (ApiKey::AddPartitionsToTxn, 3, "[s@4- 8@4- 2@4- 1@4- [s *4]@4-]@4- s@-3 8@-3 2@-3 [s *4]@-3"),
    (ApiKey::AddOffsetsToTxn, 3, "s 8 2 s"),
    (ApiKey::EndTxn, 3, "s 8 2 1"),
    (ApiKey::TxnOffsetCommit, 3, "s s 8 2 4@3- s@3- s@3- [s [4 8 4@2- s]]"),
    (ApiKey::DescribeAcls, 2, "1 s 1 s s 1 1"),
    (ApiKey::CreateAcls, 2, "[1 s 1 s s 1 1]"),
    (ApiKey::DeleteAcls, 2, "[1 s 1 s s 1 1]"),
    (ApiKey::DescribeConfigs, 4, "[1 s *s] 1 1@3-"),
    (ApiKey::AlterConfigs, 2, "[1 s [s s]] 1"),
    (ApiKey::DescribeLogDirs, 2, "[s *4]"),
    (ApiKey::CreatePartitions, 2, "[s 4 [*4]] 4 1"),
    (ApiKey::DeleteGroups, 2, "*s"),
    (ApiKey::IncrementalAlterConfigs, 1, "[1 s [s 1 s]] 1"),
    (ApiKey::ListPartitionReassignments, 0, "4 [s *4]"),
    (ApiKey::OffsetDelete, 99, "s [s [4]]"),
    (ApiKey::DescribeCluster, 0, "1 1@1- 1@2-"),
    (ApiKey::DescribeProducers, 0, "[s *4]"),
    (ApiKey::DescribeTransactions, 0, "*s"),
    (ApiKey::ListTransactions, 0, "*s *8 8@1- s@2-"),
    (ApiKey::DescribeTopicPartitions, 0, "[s] 4 ?(s 4)"),
];

/// A field and the versions that have it.
struct Field {
    what: What,
    since: i16,
    until: i16,
    tag: Option<u32>,
}

enum What {
    Bytes(usize),
    String,
    LongBytes,
    Array(Box<What>),
    Structures(Vec<Field>),
    Structure { fields: Vec<Field>, may_miss: bool },
}

struct Shape {
    api: ApiKey,
    flexible: i16,
    fields: Vec<Field>,
}

static SHAPES: LazyLock<Vec<Shape>> = LazyLock::new(|| {
    let shape = |(api, flexible, text): &(ApiKey, i16, &str)| Shape {
        api: *api,
        flexible: *flexible,
        fields: fields(&mut text.as_bytes()),
    };
    TABLE.iter().map(shape).collect()
});

/// Reads the table up to the end, or the bracket that closes.
fn fields(text: &mut &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    while let Some((letter, rest)) = text.split_first() {
        match letter {
            b' ' => *text = rest,
            b']' | b')' => break,
            _ => fields.push(field(text)),
        }
    }
    fields
}

fn field(text: &mut &[u8]) -> Field {
    let tag = take(text, b'#').then(|| {
        let tag = number(text);
        take(text, b':');
        u32::from(tag.unwrap_or(0).unsigned_abs())
    });
    let what = what(text);
    let (mut since, mut until) = (0, i16::MAX);
    if take(text, b'@') {
        since = number(text).unwrap_or(0);
        take(text, b'-');
        until = number(text).unwrap_or(i16::MAX);
    }
    Field { what, since, until, tag }
}

fn what(text: &mut &[u8]) -> What {
    if take(text, b'*') {
        return What::Array(Box::new(what(text)));
    }
    if take(text, b'[') {
        let structures = What::Structures(fields(text));
        take(text, b']');
        return structures;
    }
    let may_miss = take(text, b'?');
    if take(text, b'(') {
        let structure = What::Structure { fields: fields(text), may_miss };
        take(text, b')');
        return structure;
    }
    if take(text, b's') {
        return What::String;
    }
    if take(text, b'b') {
        return What::LongBytes;
    }
    match number(text) {
        Some(bytes) => What::Bytes(usize::from(bytes.unsigned_abs())),
        None => {
            // Nothing that the table has; a test looks for it.
            *text = text.get(1..).unwrap_or_default();
            What::Bytes(usize::MAX)
        }
    }
}

fn take(text: &mut &[u8], letter: u8) -> bool {
    let found = text.first() == Some(&letter);
    if found {
        *text = text.get(1..).unwrap_or_default();
    }
    found
}

fn number(text: &mut &[u8]) -> Option<i16> {
    let digits = text.iter().take_while(|letter| letter.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(digits)?;
    *text = rest;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// # Errors
/// The request ends before what it promises, or promises too much.
pub(crate) fn check(api: ApiKey, version: i16, request: &[u8]) -> Result<(), &'static str> {
    let Some(shape) = SHAPES.iter().find(|shape| shape.api == api) else { return Err("an API without a shape") };
    let mut walk = Walk { rest: request, elements: ELEMENTS, version, compact: false };
    // Key, version and number of the request, then the client's id, which is never compact.
    walk.skip(8)?;
    walk.string()?;
    walk.compact = version >= shape.flexible;
    if walk.compact {
        walk.tagged(&[])?;
    }
    // What follows is not looked at, as in Kafka: librdkafka's requests for all topics have three bytes too many.
    walk.structure(&shape.fields)
}

struct Walk<'a> {
    rest: &'a [u8],
    elements: usize,
    version: i16,
    compact: bool,
}

type Walked = Result<(), &'static str>;

const SHORT: &str = "it ends before what it promises";

impl Walk<'_> {
    fn structure(&mut self, fields: &[Field]) -> Walked {
        for field in fields.iter().filter(|field| field.tag.is_none()) {
            if (field.since..=field.until).contains(&self.version) {
                self.one(&field.what)?;
            }
        }
        if self.compact { self.tagged(fields) } else { Ok(()) }
    }

    fn one(&mut self, what: &What) -> Walked {
        match what {
            What::Bytes(bytes) => self.skip(*bytes),
            What::String => self.string(),
            What::LongBytes => {
                let length = self.count()?;
                self.skip(length)
            }
            What::Array(each) => (0..self.many()?).try_for_each(|_| self.one(each)),
            What::Structures(fields) => (0..self.many()?).try_for_each(|_| self.structure(fields)),
            What::Structure { fields, may_miss } => {
                if *may_miss && self.byte()? != 1 {
                    return Ok(());
                }
                self.structure(fields)
            }
        }
    }

    /// Tagged fields say their own length, which the decoder does not compare for those it knows.
    fn tagged(&mut self, fields: &[Field]) -> Walked {
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let length = self.varint()? as usize;
            let known = fields.iter().find(|field| field.tag == Some(tag));
            let after = self.rest.len().checked_sub(length).ok_or(SHORT)?;
            match known {
                Some(field) => self.one(&field.what)?,
                None => self.skip(length)?,
            }
            if self.rest.len() != after {
                return Err("a tagged field has another length than it says");
            }
            self.elements = self.elements.checked_sub(1).ok_or("it has too many elements")?;
        }
        Ok(())
    }

    /// The count of an array, whose elements have at least a byte each.
    fn many(&mut self) -> Result<usize, &'static str> {
        let count = self.count()?;
        self.elements = self.elements.checked_sub(count).ok_or("it has too many elements")?;
        if count > self.rest.len() { Err(SHORT) } else { Ok(count) }
    }

    /// A count or length of four bytes, or compact; 0 for null.
    fn count(&mut self) -> Result<usize, &'static str> {
        if self.compact {
            return Ok(self.varint()?.saturating_sub(1) as usize);
        }
        let count = i32::from_be_bytes(self.array()?);
        match count {
            -1 => Ok(0),
            count => usize::try_from(count).map_err(|_| "a negative count"),
        }
    }

    fn string(&mut self) -> Walked {
        if self.compact {
            let length = self.count()?;
            return self.skip(length);
        }
        match i16::from_be_bytes(self.array()?) {
            -1 => Ok(()),
            length => self.skip(usize::try_from(length).map_err(|_| "a negative length")?),
        }
    }

    fn varint(&mut self) -> Result<u32, &'static str> {
        let mut value = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| "a number of more than 32 bits");
            }
        }
        Err("a number of more than 5 bytes")
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*array)
    }

    fn skip(&mut self, bytes: usize) -> Walked {
        self.rest = self.rest.get(bytes..).ok_or(SHORT)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::messages::{MetadataRequest, RequestHeader, RequestKind};
    use kafka_protocol::protocol::{Encodable, StrBytes};

    use super::*;
    use crate::api::VERSIONS;

    fn frame(request: &RequestKind, api: ApiKey, version: i16) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        let header = RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_client_id(Some(StrBytes::from_static_str("client")));
        header.encode(&mut bytes, api.request_header_version(version)).unwrap();
        request.encode(&mut bytes, version).unwrap();
        bytes.to_vec()
    }

    /// Each is sent in every version by the test `versions`.
    #[test]
    fn every_api_has_a_shape_and_no_letter_of_the_table_is_unknown() {
        fn known(fields: &[Field]) -> bool {
            fields.iter().all(|field| what_is_known(&field.what))
        }
        fn what_is_known(what: &What) -> bool {
            match what {
                What::Bytes(bytes) => [1, 2, 4, 8, 16].contains(bytes),
                What::Array(each) => what_is_known(each),
                What::Structures(fields) | What::Structure { fields, .. } => known(fields),
                What::String | What::LongBytes => true,
            }
        }
        for (api, ..) in VERSIONS {
            let shape = SHAPES.iter().find(|shape| shape.api == *api).unwrap();
            assert!(known(&shape.fields), "{api:?}");
        }
        assert_eq!(SHAPES.len(), VERSIONS.len());
    }

    #[test]
    fn counts_and_lengths_that_promise_too_much_are_refused() {
        for version in 0..=13 {
            let whole = frame(&MetadataRequest::default().into(), ApiKey::Metadata, version);
            assert_eq!(check(ApiKey::Metadata, version, &whole), Ok(()), "{version}");
            for length in 0..whole.len() {
                assert_eq!(check(ApiKey::Metadata, version, &whole[..length]), Err(SHORT), "{version}: {length}");
            }
        }
        // The header of version 9 and up ends with an empty list of tags; then comes the count of topics.
        let mut hostile = frame(&MetadataRequest::default().into(), ApiKey::Metadata, 12);
        let count = 8 + 2 + 6 + 1;
        hostile.splice(count..=count, [0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(check(ApiKey::Metadata, 12, &hostile), Err("it has too many elements"));
        hostile.splice(count..count + 5, [0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(check(ApiKey::Metadata, 12, &hostile).is_err(), "a count of six bytes");
        let mut old = frame(&MetadataRequest::default().into(), ApiKey::Metadata, 1);
        old.splice(16.., [0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(check(ApiKey::Metadata, 1, &old), Err("it has too many elements"));
        old.splice(16.., [0x80, 0, 0, 0]);
        assert_eq!(check(ApiKey::Metadata, 1, &old), Err("a negative count"));
    }
}
