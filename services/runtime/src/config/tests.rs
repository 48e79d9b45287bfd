//! The whole of reading a configuration, as a person meets it.

use super::*;

const KEYS: &[Key] = &[
    key("broker.bootstrap", "WEIR_BROKER_BOOTSTRAP", Some("127.0.0.1:9092"), Kind::Text),
    key("registry.listen", "WEIR_REGISTRY_LISTEN", Some("127.0.0.1:8081"), Kind::Listen),
    key("enforcer.slots", "WEIR_ENFORCER_SLOTS", Some("4"), Kind::Count(1, 64)),
    key("admin.grace", "WEIR_ADMIN_GRACE", Some("25s"), Kind::Duration(Duration::from_secs(600))),
    Key { secret: true, ..key("registry.password", "WEIR_REGISTRY_PASSWORD", None, Kind::Text) },
];

const fn key(name: &'static str, env: &'static str, default: Option<&'static str>, kind: Kind) -> Key {
    Key { name, env, default, secret: false, kind, doc: "" }
}

fn sources(file: &str, env: &[(&str, &str)]) -> Sources {
    Sources {
        file: Some((PathBuf::from("weir.toml"), file.to_owned())),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..Sources::default()
    }
}

fn shown(settings: &Settings) -> Vec<String> {
    settings.entries().map(|entry| format!("{} = {} ({})", entry.key.name, entry.shown(), entry.origin)).collect()
}

#[test]
fn later_layers_win_and_every_value_says_where_it_came_from() {
    let mut sources = sources(
        "[broker]\nbootstrap = \"kafka:9092\"\n[registry]\nlisten = \"0.0.0.0:8081\"\npassword = \"hush\"\n[enforcer]\nslots = 8\n",
        &[("WEIR_REGISTRY_LISTEN", "127.0.0.1:9000"), ("WEIR_ENFORCER_SLOTS", "16"), ("HOME", "/root")],
    );
    sources.flags.push(FlagValue { key: "enforcer.slots", flag: "--slots", value: "32".to_owned() });
    let settings = Settings::read(KEYS, &sources).unwrap();
    assert_eq!(
        shown(&settings),
        [
            "admin.grace = 25s (default)",
            "broker.bootstrap = kafka:9092 (weir.toml:2)",
            "enforcer.slots = 32 (--slots)",
            "registry.listen = 127.0.0.1:9000 ($WEIR_REGISTRY_LISTEN)",
            "registry.password = (set, not shown) (weir.toml:5)",
        ]
    );
    assert_eq!(settings.count("enforcer.slots"), Some(32));
    assert_eq!(settings.text("registry.password"), Some("hush"));
    assert_eq!(settings.duration("admin.grace"), Some(Duration::from_secs(25)));
}

#[test]
fn all_mistakes_are_told_at_once_with_their_places() {
    let mut sources = sources(
        "[broker]\nbotstrap = \"kafka:9092\"\n\n[registry]\nlisten = 8081\npassword = [\"a\"]\n[enforcer]\nslots = 0\n",
        &[
            ("WEIR_ADMIN_GRACE", "soon"),
            ("WEIR_REGISTRY_PASSWORD", "a"),
            ("WEIR_REGISTRY_PASSWORD_FILE", "/run/secret"),
        ],
    );
    sources.flags.push(FlagValue { key: "enforcer.slots", flag: "--slots", value: "many".to_owned() });
    let mistakes = Settings::read(KEYS, &sources).unwrap_err();
    assert_eq!(
        mistakes.to_string(),
        "cannot start: 7 mistakes in the configuration
  weir.toml:2: there is no setting broker.botstrap; did you mean broker.bootstrap?
  weir.toml:5: registry.listen cannot be \"8081\": give an address and a port like \"127.0.0.1:8081\"
  weir.toml:6: registry.password cannot be a value of type array: give a text that is not empty
  weir.toml:8: enforcer.slots cannot be \"0\": give a whole number from 1 to 64
  $WEIR_ADMIN_GRACE: admin.grace cannot be \"soon\": give a length of time like \"250ms\", \"10s\" or \"5m\", at most 10m
  $WEIR_REGISTRY_PASSWORD: WEIR_REGISTRY_PASSWORD_FILE is set too; keep one of them
  --slots: enforcer.slots cannot be \"many\": give a whole number from 1 to 64"
    );
}

#[test]
fn a_file_that_is_not_toml_still_tells_the_rest() {
    let mistakes = Settings::read(KEYS, &sources("[broker]\nbootstrap = \n[enforcer]\nslots = 99\n", &[])).unwrap_err();
    let places: Vec<&str> = mistakes.0.iter().map(|mistake| mistake.place.as_str()).collect();
    assert!(places.contains(&"weir.toml:2") && places.contains(&"weir.toml:4"), "{mistakes}");
}

#[test]
fn a_secret_comes_from_a_file_without_its_line_end() {
    let path = std::env::temp_dir().join(format!("weir-secret-{}", std::process::id()));
    std::fs::write(&path, "hush\n").unwrap();
    let settings = Settings::read(KEYS, &sources("", &[("WEIR_REGISTRY_PASSWORD_FILE", path.to_str().unwrap())]));
    std::fs::remove_file(&path).unwrap();
    let settings = settings.unwrap();
    assert_eq!(settings.text("registry.password"), Some("hush"));
    assert_eq!(settings.origin("registry.password"), Some(&Origin::Env("WEIR_REGISTRY_PASSWORD_FILE".to_owned())));
}

#[test]
fn a_secret_is_not_repeated_in_a_mistake() {
    let mistakes = Settings::read(KEYS, &sources("", &[("WEIR_REGISTRY_PASSWORD", "")])).unwrap_err();
    assert_eq!(
        mistakes.to_string(),
        "cannot start: 1 mistake in the configuration\n  $WEIR_REGISTRY_PASSWORD: registry.password cannot be the value: give a text that is not empty"
    );
}

#[test]
fn unknown_variables_are_warnings_because_orchestrators_add_their_own() {
    let settings =
        Settings::read(KEYS, &sources("", &[("WEIR_SERVICE_HOST", "10.0.0.1"), ("WEIR_ENFORCER_SLOT", "3")])).unwrap();
    let warnings: Vec<String> = settings.warnings().iter().map(Mistake::to_string).collect();
    assert_eq!(
        warnings,
        [
            "$WEIR_ENFORCER_SLOT: there is no such setting; did you mean WEIR_ENFORCER_SLOTS?",
            "$WEIR_SERVICE_HOST: there is no such setting",
        ]
    );
}
