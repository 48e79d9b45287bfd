//! Domains, products and versions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::InvalidName;

/// Longest domain or product name. Two of them, a companion prefix, a major and a backbone prefix stay
/// below Kafka's 249 characters for a topic.
const NAME_MAX: usize = 80;

/// Domains that are words of the house and cannot be a team's.
const RESERVED: [&str; 3] = ["inbox", "quarantine", "weir"];

fn checked(kind: &'static str, name: &str) -> Result<(), InvalidName> {
    let refuse = |rule| Err(InvalidName { kind, name: name.to_owned(), rule });
    if name.is_empty() {
        return refuse("is empty");
    }
    if name.len() > NAME_MAX {
        return refuse("is longer than 80 characters");
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return refuse("may hold only a-z, 0-9 and -");
    }
    if !name.as_bytes()[0].is_ascii_lowercase() {
        return refuse("must begin with a letter");
    }
    if name.ends_with('-') {
        return refuse("must not end with -");
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name as Avro allows it in a namespace: `-` becomes `_`.
            pub fn avro(&self) -> String {
                self.0.replace('-', "_")
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(name: String) -> Result<Self, InvalidName> {
                name.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A domain: the team that owns products. `[a-z][a-z0-9-]*`, at most 80 characters, not one of the
    /// reserved words `inbox`, `quarantine` and `weir`.
    Domain, "domain"
}
name! {
    /// The name of a product within its domain. `[a-z][a-z0-9-]*`, at most 80 characters.
    ProductName, "product name"
}

impl FromStr for Domain {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        checked("domain", name)?;
        if RESERVED.contains(&name) {
            return Err(InvalidName { kind: "domain", name: name.to_owned(), rule: "is reserved for Weir itself" });
        }
        Ok(Self(name.to_owned()))
    }
}

impl FromStr for ProductName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        checked("product name", name)?;
        Ok(Self(name.to_owned()))
    }
}

/// A data product: `domain.name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProductId {
    /// Who owns it.
    pub domain: Domain,
    /// What it is called there.
    pub name: ProductName,
}

impl ProductId {
    /// Product `name` of `domain`.
    pub fn new(domain: Domain, name: ProductName) -> Self {
        Self { domain, name }
    }
}

impl FromStr for ProductId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (domain, name) = text.split_once('.').ok_or_else(|| InvalidName {
            kind: "product",
            name: text.to_owned(),
            rule: "must be written domain.product",
        })?;
        Ok(Self { domain: domain.parse()?, name: name.parse()? })
    }
}

impl TryFrom<String> for ProductId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<ProductId> for String {
    fn from(id: ProductId) -> String {
        id.to_string()
    }
}

impl fmt::Display for ProductId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.domain, self.name)
    }
}

/// The major of a contract version; it is in the names of the product's topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Major(pub u32);

impl fmt::Display for Major {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// A contract version: `major.minor.patch`, each a decimal number without leading zeros (Semantic
/// Versioning 2.0.0, section 2). Pre-release and build parts are refused: a contract in force is one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    /// Changes when consumers can be hurt.
    pub major: u32,
    /// Changes when producers can be hurt, or something is added.
    pub minor: u32,
    /// Changes when nobody can be hurt.
    pub patch: u32,
}

impl Version {
    /// The major, as it stands in topic names.
    pub fn major(self) -> Major {
        Major(self.major)
    }
}

impl FromStr for Version {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let refuse = || InvalidName {
            kind: "version",
            name: text.to_owned(),
            rule: "must be three numbers, major.minor.patch, such as 1.0.0",
        };
        let number = |part: Option<&str>| -> Result<u32, InvalidName> {
            let part = part.ok_or_else(refuse)?;
            let plain = part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            if plain { part.parse().map_err(|_| refuse()) } else { Err(refuse()) }
        };
        let mut parts = text.split('.');
        let version = Self { major: number(parts.next())?, minor: number(parts.next())?, patch: number(parts.next())? };
        if parts.next().is_some() { Err(refuse()) } else { Ok(version) }
    }
}

impl TryFrom<String> for Version {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_rule() {
        for good in ["orders", "order-lines", "a1"] {
            assert!(good.parse::<Domain>().is_ok(), "{good}");
        }
        for bad in ["", "Orders", "order_lines", "1a", "-a", "a-", "a.b", "inbox", "quarantine", "weir", "ä"] {
            assert!(bad.parse::<Domain>().is_err(), "{bad}");
        }
        assert!("inbox".parse::<ProductName>().is_ok());
    }

    #[test]
    fn a_version_is_three_numbers() {
        assert_eq!("1.20.3".parse::<Version>().unwrap(), Version { major: 1, minor: 20, patch: 3 });
        for bad in ["1", "1.0", "1.0.0.0", "01.0.0", "1.0.0-rc1", "v1.0.0", "1..0", "4294967296.0.0"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
        assert!("1.10.0".parse::<Version>().unwrap() > "1.9.0".parse::<Version>().unwrap());
    }
}
