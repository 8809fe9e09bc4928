//! The parts of an image config that people read, such as its creation date and labels.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Platform, Timestamp, UntrustedText, parse_config};

/// The maximum number of labels, variables and other items of a list that are kept. A config of 8 MiB may have a
/// million.
const MAX_ITEMS: usize = 1000;

/// The readable parts of an image config (OCI image-spec, "Image Configuration"). A part of the wrong type is kept as
/// text as far as possible, because nothing depends on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConfigDetails {
    pub(crate) platform: Platform,
    /// The creation date as written in the config; `None` if it is missing or Go's zero time.
    pub(crate) created: Option<UntrustedText>,
    pub(crate) user: Option<UntrustedText>,
    pub(crate) working_dir: Option<UntrustedText>,
    pub(crate) stop_signal: Option<UntrustedText>,
    pub(crate) entrypoint: Limited<Vec<UntrustedText>>,
    pub(crate) cmd: Limited<Vec<UntrustedText>>,
    pub(crate) env: Limited<Vec<UntrustedText>>,
    pub(crate) exposed_ports: Limited<Vec<UntrustedText>>,
    pub(crate) volumes: Limited<Vec<UntrustedText>>,
    pub(crate) labels: Limited<BTreeMap<UntrustedText, UntrustedText>>,
    /// The number of layers that the config lists.
    pub(crate) layers: usize,
}

/// A collection of at most 1,000 items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Limited<T> {
    pub(crate) items: T,
    /// The number of further items, which are dropped.
    pub(crate) dropped: usize,
}

impl ConfigDetails {
    /// Parses an image config.
    ///
    /// # Errors
    /// The bytes are not a JSON object, or one of its objects has another type.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        #[serde(expecting = "a JSON object")]
        struct Config {
            created: Option<Text>,
            os: Option<Text>,
            architecture: Option<Text>,
            variant: Option<Text>,
            #[serde(rename = "os.version")]
            os_version: Option<Text>,
            #[serde(rename = "os.features")]
            os_features: Option<List>,
            config: Option<Container>,
            rootfs: Option<RootFs>,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "PascalCase", expecting = "a JSON object")]
        struct Container {
            user: Option<Text>,
            working_dir: Option<Text>,
            stop_signal: Option<Text>,
            entrypoint: Option<List>,
            cmd: Option<List>,
            env: Option<List>,
            exposed_ports: Option<List>,
            volumes: Option<List>,
            labels: Option<Map>,
        }
        #[derive(Deserialize)]
        #[serde(expecting = "a JSON object")]
        struct RootFs {
            diff_ids: Option<List>,
        }
        let text = |text: Option<Text>| text.map(|text| text.0).filter(|text| !text.is_empty());
        let list = |list: Option<List>| list.map(|list| list.0).unwrap_or_default();
        // serde also reads a struct from a list.
        if bytes.trim_ascii_start().starts_with(b"[") {
            return Err(serde_json::Error::custom("expected a JSON object"));
        }
        let config: Config = parse_config(bytes)?;
        let container = config.config.unwrap_or_default();
        let layers = list(config.rootfs.and_then(|rootfs| rootfs.diff_ids));
        let is_set = |created: &UntrustedText| !Timestamp::parse(created).is_some_and(|time| time.is_unset());
        Ok(Self {
            platform: Platform {
                os: text(config.os).unwrap_or_default(),
                architecture: text(config.architecture).unwrap_or_default(),
                variant: text(config.variant).unwrap_or_default(),
                os_version: text(config.os_version).unwrap_or_default(),
                os_features: list(config.os_features).items,
            },
            created: text(config.created).filter(is_set),
            user: text(container.user),
            working_dir: text(container.working_dir),
            stop_signal: text(container.stop_signal),
            entrypoint: list(container.entrypoint),
            cmd: list(container.cmd),
            env: list(container.env),
            exposed_ports: list(container.exposed_ports),
            volumes: list(container.volumes),
            labels: container.labels.map(|labels| labels.0).unwrap_or_default(),
            layers: layers.items.len() + layers.dropped,
        })
    }

    /// Returns the creation date; `None` if it is missing or invalid.
    pub(crate) fn created(&self) -> Option<Timestamp> {
        Timestamp::parse(self.created.as_ref()?)
    }
}

/// Any JSON value as text: `[...]` and `{...}` stand for lists and objects.
struct Text(UntrustedText);

/// A list of texts, the keys of an object, or a single text.
struct List(Limited<Vec<UntrustedText>>);

/// An object with texts as values.
struct Map(Limited<BTreeMap<UntrustedText, UntrustedText>>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.into()))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Text, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Text, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Text, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Text, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_unit<E: Error>(self) -> Result<Text, E> {
                self.visit_str("")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Text, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                self.visit_str("[...]")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Text, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                self.visit_str("{...}")
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;
        impl<'de> Visitor<'de> for ListVisitor {
            type Value = List;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<List, E> {
                Ok(List(Limited { items: vec![text.into()], dropped: 0 }))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<List, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<List, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<List, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<List, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_unit<E: Error>(self) -> Result<List, E> {
                Ok(List(Limited::default()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List, A::Error> {
                let mut list = Limited::<Vec<_>>::default();
                while list.items.len() < MAX_ITEMS {
                    let Some(Text(text)) = items.next_element()? else { return Ok(List(list)) };
                    list.items.push(text);
                }
                while items.next_element::<IgnoredAny>()?.is_some() {
                    list.dropped += 1;
                }
                Ok(List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<List, A::Error> {
                let mut list = Limited::<Vec<_>>::default();
                while let Some((Text(key), IgnoredAny)) = entries.next_entry()? {
                    match list.items.len() < MAX_ITEMS {
                        true => list.items.push(key),
                        false => list.dropped += 1,
                    }
                }
                Ok(List(list))
            }
        }
        deserializer.deserialize_any(ListVisitor)
    }
}

impl<'de> Deserialize<'de> for Map {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor;
        impl<'de> Visitor<'de> for MapVisitor {
            type Value = Map;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_unit<E: Error>(self) -> Result<Map, E> {
                Ok(Map(Limited::default()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Map, A::Error> {
                let mut map = Limited::<BTreeMap<_, _>>::default();
                while let Some((Text(key), Text(value))) = entries.next_entry()? {
                    match map.items.len() < MAX_ITEMS || map.items.contains_key(&key) {
                        true => drop(map.items.insert(key, value)),
                        false => map.dropped += 1,
                    }
                }
                Ok(Map(map))
            }
        }
        deserializer.deserialize_any(MapVisitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(config: &serde_json::Value) -> Result<ConfigDetails, String> {
        ConfigDetails::parse(config.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_usual_config_is_parsed() {
        let details = parse(&json!({
            "created": "2026-05-01T10:00:00.5Z", "os": "linux", "architecture": "arm", "variant": "v7",
            "author": "me", "history": [{"created_by": "x"}],
            "config": {
                "User": "app", "WorkingDir": "/srv", "StopSignal": "SIGTERM", "Env": ["A=b"], "Cmd": null,
                "Entrypoint": ["/bin/app", "-x"], "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": {}},
                "Labels": {"b": "2", "a": "1"},
            },
            "rootfs": {"type": "layers", "diff_ids": ["x", "y"]},
        }))
        .unwrap();
        let texts = |list: &Limited<Vec<UntrustedText>>| list.items.join(" ");
        assert_eq!(details.platform.to_string(), "linux/arm/v7");
        assert_eq!(details.created().unwrap().to_string(), "2026-05-01T10:00:00Z");
        assert_eq!((texts(&details.entrypoint), texts(&details.cmd)), ("/bin/app -x".into(), String::new()));
        assert_eq!((texts(&details.exposed_ports), texts(&details.volumes)), ("80/tcp".into(), "/data".into()));
        let labels: Vec<String> = details.labels.items.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!((labels, details.layers), (vec!["a=1".to_owned(), "b=2".to_owned()], 2));
    }

    #[test]
    fn values_of_the_wrong_type_are_kept_as_text_or_dropped() {
        let details = parse(&json!({
            "created": 7, "os": null, "architecture": ["x"],
            "config": {"Labels": {"a": 1, "b": null, "c": [1, [2]], "d": {"e": "f"}, "g": true}, "Env": "A=b",
                "Cmd": [1.5, {"x": []}], "User": {"name": "x"}},
            "rootfs": {"diff_ids": 5},
        }))
        .unwrap();
        let labels: Vec<&str> = details.labels.items.values().map(UntrustedText::as_str).collect();
        assert_eq!(labels, ["1", "", "[...]", "{...}", "true"]);
        assert_eq!((details.created.as_deref(), details.created()), (Some("7"), None));
        assert_eq!(details.cmd.items, ["1.5", "{...}"]);
        assert_eq!((details.user.as_deref(), &*details.platform.architecture), (Some("{...}"), "[...]"));
    }

    #[test]
    fn unset_dates_are_missing_and_invalid_dates_are_kept() {
        for (created, kept, valid) in [
            (json!("0001-01-01T00:00:00Z"), None, false),
            (json!(null), None, false),
            (json!(""), None, false),
            (json!("soon"), Some("soon"), false),
            (json!("1970-01-01T00:00:00Z"), Some("1970-01-01T00:00:00Z"), true),
        ] {
            let details = parse(&json!({ "created": created })).unwrap();
            assert_eq!((details.created.as_deref(), details.created().is_some()), (kept, valid), "{created}");
        }
    }

    #[test]
    fn huge_collections_are_cut() {
        let labels: serde_json::Map<String, serde_json::Value> =
            (0..5000).map(|number| (format!("l{number}"), json!("x"))).collect();
        let details = parse(&json!({"config": {"Labels": labels, "Env": vec!["A=b"; 1500]}})).unwrap();
        assert_eq!((details.labels.items.len(), details.labels.dropped), (1000, 4000));
        assert_eq!((details.env.items.len(), details.env.dropped), (1000, 500));
    }

    #[test]
    fn other_content_is_an_error() {
        let list = "[null,null,null,null,null,null,null,null]";
        for config in ["", "[]", list, "7", "{", "\u{0}", r#"{"config": 7}"#, r#"{"config": {"Labels": 7}}"#] {
            assert!(ConfigDetails::parse(config.as_bytes()).is_err(), "{config}");
        }
        assert_eq!(ConfigDetails::parse(b"{}").unwrap(), ConfigDetails::default());
    }
}
