//! What becomes of files as people have them.

use super::*;

fn read(text: &str) -> Vec<(String, String)> {
    parse_client_properties(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}")).into_iter().collect()
}

fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn mistakes(text: &str) -> Vec<String> {
    parse_client_properties(text).expect_err(text)
}

#[test]
fn a_scram_login_over_tls_is_taken_over() {
    let text = "# made by the operator\nsecurity.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n\
        sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n  username=\"anna\" \
        password=\"a\\\\\"b;c\";\nssl.truststore.location=/etc/ca.pem\nssl.truststore.type=PEM\n";
    let native = [
        ("sasl.mechanisms", "SCRAM-SHA-512"),
        ("sasl.password", "a\"b;c"),
        ("sasl.username", "anna"),
        ("security.protocol", "SASL_SSL"),
        ("ssl.ca.location", "/etc/ca.pem"),
    ];
    assert_eq!(read(text), expected(&native));
}

#[test]
fn a_file_of_a_hosted_cluster_is_taken_over() {
    let text = "bootstrap.servers=pkc-1.example.com:9092\nsecurity.protocol=SASL_SSL\nsasl.mechanism=PLAIN\n\
        sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username='k' password='s';\n\
        client.dns.lookup=use_all_dns_ips\nsession.timeout.ms=45000\nacks=all\nclient.id=x\n\
        ssl.endpoint.identification.algorithm=https\nrequest.timeout.ms=20000\nretry.backoff.ms=500\n";
    let native = [
        ("client.dns.lookup", "use_all_dns_ips"),
        ("sasl.mechanisms", "PLAIN"),
        ("sasl.password", "s"),
        ("sasl.username", "k"),
        ("security.protocol", "SASL_SSL"),
        ("ssl.endpoint.identification.algorithm", "https"),
    ];
    assert_eq!(read(text), expected(&native));
}

#[test]
fn client_certificates_are_taken_over_as_pem_inline_and_as_pkcs12() {
    let pem = "ssl.keystore.type=PEM\nssl.keystore.location=/etc/me.pem\nssl.key.password=p\n";
    let native =
        [("ssl.certificate.location", "/etc/me.pem"), ("ssl.key.location", "/etc/me.pem"), ("ssl.key.password", "p")];
    assert_eq!(read(pem), expected(&native));
    let inline = "ssl.keystore.type=PEM\nssl.keystore.key=-----BEGIN\\nK\nssl.keystore.certificate.chain=-----BEGIN\\nC\n\
        ssl.truststore.certificates=-----BEGIN\\n\\\n  T\n";
    let native =
        [("ssl.ca.pem", "-----BEGIN\nT"), ("ssl.certificate.pem", "-----BEGIN\nC"), ("ssl.key.pem", "-----BEGIN\nK")];
    assert_eq!(read(inline), expected(&native));
    let p12 =
        "ssl.keystore.type=PKCS12\nssl.keystore.location=/etc/me.p12\nssl.keystore.password=p\nssl.key.password=p\n";
    let native = [("ssl.keystore.location", "/etc/me.p12"), ("ssl.keystore.password", "p")];
    assert_eq!(read(p12), expected(&native));
}

#[test]
fn every_mistake_is_told_with_its_line_and_what_to_write_instead() {
    let text = "nonsense=1\nssl.truststore.location=/etc/ca.jks\nssl.truststore.password=x\n\
        sasl.jaas.config=com.sun.security.auth.module.Krb5LoginModule required;\nsecurity.protocol=SASL_TLS\n\
        ssl.cipher.suites=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\n";
    let found = mistakes(text);
    let expected = [
        ("line 1: nonsense=1 is no setting", "remove it"),
        ("line 2: ssl.truststore.location=/etc/ca.jks is JKS", "keytool"),
        ("line 3: ssl.truststore.password", "PEM"),
        ("line 4: sasl.jaas.config names com.sun", "ScramLoginModule"),
        ("line 5: security.protocol=SASL_TLS", "correct it"),
        ("line 5: security.protocol=SASL_TLS needs sasl.mechanism too", "SCRAM-SHA-512"),
        ("line 6: ssl.cipher.suites", "OpenSSL"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (start, instead) in expected {
        assert!(found.iter().any(|m| m.starts_with(start) && m.contains(instead)), "{start}: {found:#?}");
    }
}

#[test]
fn a_login_is_complete_or_told_to_be_incomplete() {
    let found = mistakes("security.protocol=SASL_SSL\n");
    assert!(found[0].contains("needs sasl.mechanism and sasl.jaas.config"), "{found:?}");
    let found = mistakes("security.protocol=SASL_SSL\nsasl.mechanism=GSSAPI\nsasl.jaas.config=a.B required;\n");
    assert!(found.iter().any(|m| m.contains("sasl.mechanism=GSSAPI is not built in")), "{found:?}");
}

/// The settings of security and connections that a Java client of Kafka 4.3 has (`SslConfigs`, `SaslConfigs`,
/// `SecurityConfig`, `CommonClientConfigs`, `AdminClientConfig`), with a value of each.
const JAVA: &[(&str, &str)] = &[
    ("bootstrap.controllers", "x:1"),
    ("client.dns.lookup", "use_all_dns_ips"),
    ("client.rack", "r"),
    ("connections.max.idle.ms", "1000"),
    ("metadata.max.age.ms", "1000"),
    ("metadata.recovery.rebootstrap.trigger.ms", "1000"),
    ("metadata.recovery.strategy", "rebootstrap"),
    ("receive.buffer.bytes", "65536"),
    ("reconnect.backoff.max.ms", "1000"),
    ("reconnect.backoff.ms", "50"),
    ("sasl.client.callback.handler.class", "a.B"),
    ("sasl.kerberos.kinit.cmd", "/usr/bin/kinit"),
    ("sasl.kerberos.min.time.before.relogin", "1"),
    ("sasl.kerberos.service.name", "kafka"),
    ("sasl.kerberos.ticket.renew.jitter", "0.05"),
    ("sasl.kerberos.ticket.renew.window.factor", "0.8"),
    ("sasl.login.callback.handler.class", "a.B"),
    ("sasl.login.class", "a.B"),
    ("sasl.login.connect.timeout.ms", "1"),
    ("sasl.login.refresh.buffer.seconds", "1"),
    ("sasl.login.retry.backoff.ms", "1"),
    ("sasl.oauthbearer.jwks.endpoint.url", "http://x"),
    ("sasl.oauthbearer.token.endpoint.url", "http://x"),
    ("security.providers", "a.B"),
    ("send.buffer.bytes", "131072"),
    ("socket.connection.setup.timeout.ms", "10000"),
    ("ssl.cipher.suites", "ECDHE-RSA-AES256-GCM-SHA384"),
    ("ssl.enabled.protocols", "TLSv1.3"),
    ("ssl.engine.factory.class", "a.B"),
    ("ssl.keymanager.algorithm", "x"),
    ("ssl.protocol", "TLSv1.3"),
    ("ssl.provider", "x"),
    ("ssl.secure.random.implementation", "x"),
    ("ssl.trustmanager.algorithm", "x"),
];

#[test]
fn every_setting_of_a_java_client_is_taken_over_or_named_with_what_to_write_instead() {
    for (name, value) in JAVA {
        match parse_client_properties(&format!("{name}={value}\n")) {
            Ok(native) => assert_eq!(native.len(), 1, "{name} was dropped"),
            Err(mistakes) => {
                let [mistake] = &mistakes[..] else { panic!("{mistakes:?}") };
                assert!(mistake.starts_with(&format!("line 1: {name}")), "{mistake}");
                let told = instead(name).is_some() || mistake.contains("remove it");
                assert!(told, "{name}: {mistake}");
            }
        }
    }
}
