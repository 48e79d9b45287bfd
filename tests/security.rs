//! A cluster behind TLS and passwords that lets nobody do anything without being told so: Kafka's own
//! `client.properties` lead through all of Weir, what is wrong with them is said, and the doctor names each missing
//! grant by the command that gives it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::private_kafka::{PrivateKafka, Wanted, tool};
use crate::process::get;
use crate::sandbox::{Guarded, Output, free_port, root, run, scratch, wait_for, weir};

/// With what shells, properties files and JAAS each have a meaning for.
const PASSWORD: &str = r"weir;=#'\:!";
const OPERATOR_PASSWORD: &str = "operator-secret";

/// A text between quotes of JAAS, or as the value of a property.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\")
}

/// The broker, and what its people have on their disks.
struct World {
    kafka: PrivateKafka,
    port: u16,
    registry: u16,
    prefix: &'static str,
}

impl World {
    fn start(prefix: &'static str) -> Self {
        let files = scratch(prefix);
        certificates(&files);
        let port = free_port();
        let internal = free_port();
        let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required";
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let wanted = Wanted {
            listeners: vec![("INTERNAL", "PLAINTEXT", internal, internal), ("SECURE", "SASL_SSL", port, port)],
            properties: vec![
                "sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN".to_owned(),
                format!("listener.name.secure.scram-sha-512.sasl.jaas.config={scram}"),
                format!(
                    "listener.name.secure.plain.sasl.jaas.config={plain} user_weir=\"{}\";",
                    escaped(&escaped(PASSWORD))
                ),
                "listener.name.secure.ssl.keystore.type=PEM".to_owned(),
                format!("listener.name.secure.ssl.keystore.location={}", files.join("broker.pem").display()),
                "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
                "super.users=User:ANONYMOUS;User:operator".to_owned(),
            ],
            format: vec![
                "--add-scram".to_owned(),
                format!("SCRAM-SHA-512=[name=operator,password={OPERATOR_PASSWORD}]"),
            ],
        };
        let world = Self { kafka: PrivateKafka::start(files, &wanted), port, registry: free_port(), prefix };
        world.properties("operator", "SCRAM-SHA-512", "operator", OPERATOR_PASSWORD, "ca.pem");
        world.properties("weir", "PLAIN", "weir", PASSWORD, "ca.pem");
        world
    }

    fn file(&self, name: &str) -> PathBuf {
        self.kafka.scratch().join(name)
    }

    fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Writes `NAME.properties` as Kafka's documentation has them.
    fn properties(&self, name: &str, mechanism: &str, user: &str, password: &str, trusted: &str) {
        let module = if mechanism == "PLAIN" { "plain.PlainLoginModule" } else { "scram.ScramLoginModule" };
        // Escaped for JAAS, and that once more for the properties file.
        let password = escaped(&escaped(password));
        let text = format!(
            "# {name}\nsecurity.protocol=SASL_SSL\nsasl.mechanism={mechanism}\n\
             sasl.jaas.config=org.apache.kafka.common.security.{module} required \\\n  username=\"{user}\" \\\n  \
             password=\"{password}\";\nssl.truststore.type=PEM\nssl.truststore.location={}\n",
            self.file(trusted).display()
        );
        fs::write(self.file(&format!("{name}.properties")), text).expect("a file in a directory of ours");
    }

    /// `weir` as whoever these properties are of.
    fn command(&self, who: &str, args: &[&str]) -> Command {
        let mut command = weir();
        command
            .args(args)
            .arg("--command-config")
            .arg(self.file(&format!("{who}.properties")))
            .current_dir(self.kafka.scratch())
            .env("WEIR_BROKER_BOOTSTRAP", self.bootstrap())
            .env("WEIR_BACKBONE_PREFIX", self.prefix)
            .env("WEIR_REGISTRY_URL", format!("http://127.0.0.1:{}", self.registry))
            .env("WEIR_REGISTRY_LISTEN", format!("127.0.0.1:{}", self.registry))
            .env("WEIR_ADMIN_LISTEN", format!("127.0.0.1:{}", free_port()));
        command
    }

    fn weir(&self, who: &str, args: &[&str]) -> Output {
        run(self.command(who, args), b"")
    }

    fn serve(&self, who: &str, role: &str) -> Guarded {
        let process = Guarded::start(self.command(who, &["serve", role]), &self.file(&format!("{role}.log")));
        if role == "registry" {
            let what = "the registry answers";
            wait_for(what, Duration::from_secs(90), || {
                get(self.registry, "/subjects").filter(|(status, _)| *status == 200)
            });
        }
        process
    }

    /// What the doctor finds, as rows.
    fn doctor(&self, who: &str, more: &[&str]) -> (Option<i32>, Vec<Value>) {
        let output = self.weir(who, &[&["doctor", "-o", "ndjson"], more].concat());
        let rows = output.stdout.lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
        (output.code, rows)
    }

    /// Runs a `kafka-acls` command that the doctor has written, as the operator.
    fn grant(&self, command: &str) {
        let words = command.strip_prefix("kafka-acls ").unwrap_or_else(|| panic!("{command}"));
        let operator = self.file("operator.properties").display().to_string();
        let words = words.replace("operator.properties", &operator).replace('\'', "");
        tool("kafka-acls", &words.split(' ').collect::<Vec<_>>());
    }
}

fn openssl(files: &Path, args: &str) {
    let mut command = Command::new("openssl");
    command.args(args.split(' ')).current_dir(files);
    run(command, b"").ok();
}

/// An authority, a certificate for the broker, and an authority that signed nothing here.
fn certificates(files: &Path) {
    for (name, subject) in [("ca", "/CN=tests"), ("other", "/CN=another")] {
        openssl(
            files,
            &format!("req -x509 -newkey rsa:2048 -nodes -days 2 -subj {subject} -keyout {name}.key -out {name}.pem"),
        );
    }
    openssl(files, "req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout broker.key -out broker.csr");
    fs::write(files.join("san"), "subjectAltName=IP:127.0.0.1\n").expect("a file in a directory of ours");
    openssl(
        files,
        "x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out broker.crt",
    );
    let read = |name: &str| fs::read_to_string(files.join(name)).expect("openssl wrote it");
    fs::write(files.join("broker.pem"), read("broker.key") + &read("broker.crt"))
        .expect("a file in a directory of ours");
}

fn rows<'a>(rows: &'a [Value], what: &'a str, state: &'a str) -> impl Iterator<Item = &'a Value> {
    rows.iter().filter(move |row| row["what"] == what && row["state"] == state)
}

#[test]
fn what_keeps_a_client_out_is_said_and_no_secret_with_it() {
    let world = World::start("kept-out");
    world.properties("guess", "PLAIN", "weir", "not-the-password", "ca.pem");
    world.properties("stranger", "SCRAM-SHA-512", "nobody", "x", "ca.pem");
    world.properties("distrust", "PLAIN", "weir", PASSWORD, "other.pem");
    for (who, said) in [
        ("guess", "the broker refuses the login"),
        ("stranger", "the broker refuses the login"),
        ("distrust", "TLS cannot be agreed on"),
    ] {
        let started = std::time::Instant::now();
        let output = world.weir(who, &["product", "list"]);
        assert_eq!(output.code, Some(1), "{output:?}");
        assert!(output.stderr.contains(said), "{who}: {output:?}");
        assert!(!output.stderr.contains("not-the-password") && !output.stderr.contains(PASSWORD), "{output:?}");
        assert!(started.elapsed() < Duration::from_secs(20), "{who}: told after {:?}", started.elapsed());
    }
    let text =
        "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nssl.keystore.location=me.jks\nssl.provider=BC\n";
    fs::write(world.file("java.properties"), text).expect("a file in a directory of ours");
    let output = world.weir("java", &["product", "list"]);
    assert_eq!(output.code, Some(2), "{output:?}");
    for said in ["1: security.protocol", "2: sasl.mechanism=OAUTHBEARER", "3: ssl.keystore.location", "4: ssl.provider"]
    {
        let said = format!("java.properties:{said}");
        assert!(output.stderr.contains(&said), "{said}: {}", output.stderr);
    }
}

/// Does what the doctor says until it has nothing more to say about access.
fn follow_the_doctor(world: &World) -> usize {
    let mut commands = 0;
    for _ in 0..4 {
        let (_, found) = world.doctor("weir", &["--duty", "enforcer"]);
        let fixes: Vec<&str> = rows(&found, "access", "BAD").map(|row| row["fix"].as_str().expect("a fix")).collect();
        if fixes.is_empty() {
            return commands;
        }
        for fix in fixes {
            world.grant(fix);
            commands += 1;
        }
    }
    panic!("the doctor is never content");
}

fn readings(world: &World) {
    let lines = (0..20).map(|seq| format!("s{},{seq},{},\n", seq % 3, if seq % 10 == 9 { 1_000 } else { seq }));
    let text = "sensor,seq,value,note\n".to_owned() + &lines.collect::<String>();
    fs::write(world.file("readings.csv"), text).expect("a file in a directory of ours");
}

#[test]
fn a_backbone_works_behind_tls_and_passwords_with_the_grants_that_the_doctor_names_and_no_others() {
    let world = World::start("granted");
    // The same file leads a Java client in.
    let operator = world.file("operator.properties").display().to_string();
    tool("kafka-acls", &["--bootstrap-server", &world.bootstrap(), "--command-config", &operator, "--list"]);
    let _registry = world.serve("operator", "registry");
    let products = root().join("tests/products").display().to_string();
    // Topics and catalog are there, and no enforcer yet: it is not waited for long.
    let _unfinished = world.weir("operator", &["apply", &products, "--yes", "--timeout", "1s"]);
    let commands = follow_the_doctor(&world);
    assert!(commands >= 4, "only {commands} grants for topics, groups and ids");
    let _enforcer = world.serve("weir", "enforcer");
    world.weir("operator", &["apply", &products, "--yes", "--timeout", "120s"]).ok();
    readings(&world);
    let null = ["--null", ""];
    let produced =
        world.weir("operator", &[&["produce", "meter.readings", "--file", "readings.csv"], &null[..]].concat());
    assert_eq!(produced.code, Some(1), "{produced:?}");
    assert!(produced.stdout.contains("18 published, 2 held back"), "{produced:?}");
    let consume = ["consume", "meter.readings", "--from", "beginning", "--until", "end", "-o", "ndjson"];
    assert_eq!(world.weir("operator", &consume).ok().stdout.lines().count(), 18);
    let (code, found) = world.doctor("operator", &[]);
    assert_eq!(code, Some(0), "{found:?}");
    assert_eq!(rows(&found, "access", "ok").count(), 3);
    assert_eq!(rows(&found, "clock", "ok").count(), 2);

    revoked(&world, &operator);
    apart(&world);
}

/// One grant less is one finding, and it is that grant.
fn revoked(world: &World, operator: &str) {
    let topic = format!("{}.quarantine.meter.readings.v1", world.prefix);
    let bootstrap = world.bootstrap();
    let where_ = ["--bootstrap-server", &bootstrap, "--command-config", operator, "--force", "--remove"];
    let what = ["--allow-principal", "User:weir", "--operation", "Write", "--topic", &topic];
    tool("kafka-acls", &[&where_[..], &what[..]].concat());
    let (code, found) = world.doctor("weir", &["--duty", "enforcer"]);
    assert_eq!(code, Some(1));
    let [missing] = rows(&found, "access", "BAD").collect::<Vec<_>>()[..] else { panic!("{found:?}") };
    let fix = missing["fix"].as_str().expect("a fix");
    assert!(fix.ends_with(&format!("--allow-principal 'User:weir' --operation Write --topic {topic}")), "{fix}");
    world.grant(fix);
    let (_, found) = world.doctor("weir", &["--duty", "enforcer"]);
    assert_eq!(rows(&found, "access", "BAD").count(), 0, "{found:?}");
}

/// A machine whose clock is wrong is told, against the broker and against the registry.
fn apart(world: &World) {
    let shim = "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <time.h>\n\
        int clock_gettime(clockid_t id, struct timespec *now) {\n\
        int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, \"clock_gettime\");\n\
        int outcome = real(id, now);\n if (id == CLOCK_REALTIME) now->tv_sec += 90;\n return outcome;\n}\n";
    fs::write(world.file("clock.c"), shim).expect("a file in a directory of ours");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-o", "clock.so", "clock.c", "-ldl"]).current_dir(world.kafka.scratch());
    run(compile, b"").ok();
    let mut command = world.command("operator", &["doctor", "-o", "ndjson"]);
    command.env("LD_PRELOAD", world.file("clock.so"));
    let output = run(command, b"");
    let found: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
    let told: Vec<&str> = rows(&found, "clock", "BAD").filter_map(|row| row["found"].as_str()).collect();
    assert_eq!(told.len(), 2, "{output:?}");
    assert!(told.iter().all(|told| told.contains("behind this machine's")), "{told:?}");
}
