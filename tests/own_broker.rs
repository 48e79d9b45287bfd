//! Weir's own broker, killed, damaged, copied and asked by many kinds of clients.

use std::fs;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::process::get;
use crate::sandbox::{Guarded, free_port, oracle_command, root, run, say, scratch, unique, wait_for, weir};

/// How often the broker is killed under load.
fn kills() -> u32 {
    if std::env::var_os("WEIR_LONG").is_some() { 300 } else { 40 }
}

#[test]
fn what_was_acknowledged_survives_kills_at_any_moment() {
    let mut broker = Cluster::own_node();
    let folder = scratch("through-kills");
    let path = |name: &str| folder.join(name).to_str().expect("a path of ours is text").to_owned();
    let (progress, stop, log) = (path("progress"), path("stop"), folder.join("log"));
    let command = oracle_command("through_kills.py", &[&broker.brokers(), &unique("kills"), &progress, &stop]);
    let mut load = Guarded::start(command, &log);
    let so_far = || fs::read_to_string(&progress).ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let said = || fs::read_to_string(&log).unwrap_or_default();
    // A kill comes at a moment of its own each time: from the first thing that is acknowledged on.
    let mut moment = 12_345_u64;
    for kill in 0..kills() {
        let before = so_far();
        wait_for(&format!("kill {kill}: something is acknowledged again"), Duration::from_secs(60), || {
            (so_far() > before).then_some(())
        });
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis((moment >> 33) % 120));
        broker.kill(1);
        broker.restart(1);
        assert!(!said().contains("FAULT"), "{}", said());
    }
    fs::write(&stop, "").expect("a file in a directory of ours");
    say(&format!("own broker killed {} times: {}", kills(), settled(&mut load, &log)));
}

/// What a run of the load said last, and that it found no fault.
fn settled(load: &mut Guarded, log: &std::path::Path) -> String {
    let ended = wait_for("everything is read back", Duration::from_secs(300), || load.ended());
    let said = fs::read_to_string(log).unwrap_or_default();
    assert!(ended.success(), "{said}");
    said.lines().last().unwrap_or_default().to_owned()
}

fn verify(data: &std::path::Path) -> crate::sandbox::Output {
    let mut command = weir();
    command.args(["broker", "verify"]).arg(data).args(["-o", "json"]);
    run(command, b"")
}

#[test]
fn a_backup_of_a_running_broker_is_whole_and_damage_is_found_by_name() {
    let broker = Cluster::own_node();
    let folder = scratch("backup");
    let path = |name: &str| folder.join(name).to_str().expect("a path of ours is text").to_owned();
    let (progress, stop, log) = (path("progress"), path("stop"), folder.join("log"));
    let command = oracle_command("through_kills.py", &[&broker.brokers(), &unique("backup"), &progress, &stop]);
    let mut load = Guarded::start(command, &log);
    wait_for("there is something to copy", Duration::from_secs(60), || {
        fs::read_to_string(&progress).ok()?.parse::<u64>().ok().filter(|count| *count > 500)
    });
    let copy = folder.join("copy");
    let mut backup = weir();
    backup.args(["broker", "backup"]).arg(broker.data(1)).arg(&copy).args(["-o", "json"]);
    let copied = run(backup, b"").ok();
    assert!(copied.stdout.contains("\"running\": true"), "{}", copied.stdout);
    let busy = verify(&broker.data(1));
    assert!(busy.code == Some(1) && busy.stderr.contains("in use by another broker"), "{busy:?}");
    fs::write(&stop, "").expect("a file in a directory of ours");
    settled(&mut load, &log);

    // A broker starts on the copy, and has whole transactions and nothing torn.
    let restored = Cluster::own_node_on(copy.clone());
    let ends = oracle_command("count_whole.py", &[&restored.brokers()]);
    let counted = run(ends, b"").ok();
    say(&format!("backup under load: {}", counted.stdout.trim()));
    drop(restored);
    let clean = verify(&copy).ok();
    assert!(clean.stderr.contains("all is well"), "{}", clean.stderr);

    let victim = segments(&copy).into_iter().max_by_key(|path| fs::metadata(path).map_or(0, |data| data.len()));
    let victim = victim.expect("a segment");
    let mut bytes = fs::read(&victim).expect("a segment of ours");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&victim, bytes).expect("room");
    let damaged = verify(&copy);
    let name = victim.strip_prefix(&copy).expect("below the copy").display().to_string();
    assert!(damaged.code == Some(1) && damaged.stdout.contains(&name), "{name}: {damaged:?}");
}

fn segments(data: &std::path::Path) -> Vec<std::path::PathBuf> {
    let inside =
        |path: std::path::PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let all = inside(data.to_owned()).filter(|path| path.is_dir()).flat_map(inside);
    all.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect()
}

#[test]
fn a_second_broker_on_the_same_directory_is_refused_with_the_reason() {
    let broker = Cluster::own_node();
    let mut second = weir();
    second.args(["broker", "--listen", &format!("127.0.0.1:{}", free_port())]);
    second.args(["--admin-listen", &format!("127.0.0.1:{}", free_port()), "--data"]).arg(broker.data(1));
    let refused = run(second, b"");
    assert!(refused.code == Some(1) && refused.stderr.contains("in use by another broker"), "{refused:?}");
}

#[test]
fn everything_runs_in_one_process_where_no_kafka_is_named() {
    let folder = scratch("up");
    let (kafka, registry, admin) = (free_port(), free_port(), free_port());
    let at = |port: u16| format!("127.0.0.1:{port}");
    let mut up = weir();
    up.args(["up", "--listen", &at(kafka), "--registry-listen", &at(registry), "--admin-listen", &at(admin), "--data"]);
    up.arg(folder.join("data"));
    let mut all = Guarded::start(up, &folder.join("up.log"));
    wait_for("all roles are ready", Duration::from_secs(60), || get(admin, "/readyz").filter(|(code, _)| *code == 200));
    let weir = |arguments: &[&str]| {
        let mut command = weir();
        command.args(arguments).args(["-b", &at(kafka), "--registry", &format!("http://{}", at(registry))]);
        run(command, b"").ok()
    };
    let products = root().join("tests/products");
    weir(&["apply", products.to_str().expect("a path of ours is text"), "--yes", "--timeout", "60s"]);
    assert!(weir(&["product", "list"]).stdout.contains("meter.readings"));
    let health = weir(&["doctor"]);
    assert!(!health.stdout.contains("BAD"), "{}", health.stdout);
    // It ends in order: the broker last, so that nobody waits for it.
    all.signal("TERM");
    let ended = wait_for("everything ends", Duration::from_secs(30), || all.ended());
    assert!(ended.success(), "{}", fs::read_to_string(folder.join("up.log")).unwrap_or_default());
}
