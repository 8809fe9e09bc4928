use super::arguments::parse_bool;
use super::registry_name::registry_name;
use crate::registry::Hosts;

/// A value of `--plain-http` or `--insecure`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostsArg {
    /// The bare flag, or `true` in any form that Go parses: every registry.
    On,
    /// `false` in any form: no registry. Discards earlier values.
    Off,
    /// `HOST[:PORT][,HOST[:PORT]...]`: only these registries.
    Only(Vec<String>),
}

impl HostsArg {
    /// Parses a value.
    ///
    /// # Errors
    /// An element is not a registry's `HOST[:PORT]`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match parse_bool(text) {
            Some(true) => Ok(Self::On),
            Some(false) => Ok(Self::Off),
            None => text.split(',').map(registry_name).collect::<Result<_, _>>().map(Self::Only).map_err(|message| {
                match text.to_ascii_lowercase().as_str() {
                    "all" | "on" | "yes" => format!("{message}; did you mean \"true\"?"),
                    "no" | "none" | "off" => format!("{message}; did you mean \"false\"?"),
                    _ => message,
                }
            }),
        }
    }
}

/// Combines the values of a flag from left to right: hosts add up, `true` and `false` replace earlier values.
pub(super) fn hosts(args: &[HostsArg]) -> Hosts {
    args.iter().fold(Hosts::None, |hosts, arg| match (hosts, arg) {
        (_, HostsArg::Off) => Hosts::None,
        (_, HostsArg::On) | (Hosts::All, HostsArg::Only(_)) => Hosts::All,
        (Hosts::None, HostsArg::Only(more)) => Hosts::Only(more.iter().cloned().collect()),
        (Hosts::Only(mut known), HostsArg::Only(more)) => {
            known.extend(more.iter().cloned());
            Hosts::Only(known)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_add_up_and_booleans_replace_earlier_values() {
        let only = |names: &[&str]| Ok(Hosts::Only(names.iter().map(ToString::to_string).collect()));
        for (values, expected) in [
            (&[][..], Ok(Hosts::None)),
            (&["true"], Ok(Hosts::All)),
            (&["false"], Ok(Hosts::None)),
            (&["true", "false"], Ok(Hosts::None)),
            (&["false", "true"], Ok(Hosts::All)),
            (&["R.io"], only(&["r.io"])),
            (&["r.io,localhost:5000"], only(&["localhost:5000", "r.io"])),
            (&["r.io", "[::1]:5000"], only(&["[::1]:5000", "r.io"])),
            (&["index.docker.io", "registry-1.docker.io"], only(&["docker.io"])),
            (&["r.io", "true"], Ok(Hosts::All)),
            (&["true", "r.io"], Ok(Hosts::All)),
            (&["r.io", "false", "s.io"], only(&["s.io"])),
            (&["nowhere"], Err("nowhere")),
            (&["1"], Ok(Hosts::All)),
            (&["T", "F"], Ok(Hosts::None)),
            (&["2"], Err("2")),
            (&["true,r.io"], Err("true")),
            (&["r.io,"], Err("")),
            (&[""], Err("")),
            (&["r.io/app"], Err("r.io/app")),
            (&["r.io:x"], Err("r.io:x")),
        ] {
            let parsed: Result<Vec<_>, _> = values.iter().map(|value| HostsArg::parse(value)).collect();
            let expected = expected.map_err(|invalid: &str| format!("\"{invalid}\" is not a registry's HOST[:PORT]"));
            let parsed = parsed.map_err(|error| error.split(';').next().unwrap_or_default().to_owned());
            assert_eq!(parsed.map(|args| hosts(&args)), expected, "{values:?}");
        }
        assert!(HostsArg::parse("yes").unwrap_err().ends_with("; did you mean \"true\"?"));
        assert!(HostsArg::parse("off").unwrap_err().ends_with("; did you mean \"false\"?"));
    }
}
