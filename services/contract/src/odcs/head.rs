//! The top of a contract: whose it is, which version, and what people read about it.

use std::collections::BTreeMap;

use schemas::{Domain, ProductId, ProductName, Version};

use super::bind::value_place;
use super::mistake::{Mistakes, Place, shown};
use super::reader::Reader;
use super::yaml::Node;
use crate::model::{Objective, Path, Product, Segment, Status, Team};

/// Whether the document is ODCS 3.2; `None` where it is no version that Weir reads, which is then said.
pub(super) fn dialect(root: &Node, mistakes: &mut Mistakes) -> Option<bool> {
    let Some(node) = root.get("apiVersion") else {
        // Said again, with everything else that is missing, by the check of the shape.
        return Some(true);
    };
    let given = node.raw().unwrap_or_default();
    match given {
        "v3.0.0" | "v3.0.1" | "v3.0.2" | "v3.1.0" => return Some(false),
        "v3.2.0" => return Some(true),
        _ => {}
    }
    let digits = given.trim_start_matches(['v', 'V']);
    let what = if digits.starts_with("2.") || digits.starts_with("0.") || digits.starts_with("1.") {
        format!("this is ODCS {}, and Weir reads 3.1 and 3.2, which have other keys", shown(given))
    } else {
        format!("{} is not a version of ODCS that Weir reads", shown(given))
    };
    mistakes.at(node.place, what, "`apiVersion: v3.1.0` or `apiVersion: v3.2.0`");
    None
}

/// The contract's version.
pub(super) fn version(root: &Node, mistakes: &mut Mistakes) -> Option<Version> {
    let node = root.get("version")?;
    match node.raw().unwrap_or_default().parse() {
        Ok(version) => Some(version),
        Err(error) => {
            let text = node.raw().unwrap_or_default().trim_start_matches('v');
            let padded = [text.to_owned(), format!("{text}.0"), format!("{text}.0.0")]
                .into_iter()
                .find(|text| text.parse::<Version>().is_ok());
            mistakes.at(
                node.place,
                error.to_string(),
                format!("`version: {}`", padded.unwrap_or_else(|| "1.0.0".to_owned())),
            );
            None
        }
    }
}

pub(super) fn status(root: &Node) -> Option<Status> {
    match root.text_at("status")? {
        "proposed" => Some(Status::Proposed),
        "draft" => Some(Status::Draft),
        "active" => Some(Status::Active),
        "deprecated" => Some(Status::Deprecated),
        "retired" => Some(Status::Retired),
        _ => None,
    }
}

/// Domain and product name. The name is `dataProduct`, or made of `name` or of the schema object's name.
pub(super) fn product(root: &Node, mistakes: &mut Mistakes) -> Option<ProductId> {
    let domain = root.get("domain").and_then(|node| named::<Domain>("domain", node, mistakes));
    let name = match root.get("dataProduct").filter(|node| node.text().is_some()) {
        Some(node) => named::<ProductName>("dataProduct", node, mistakes),
        None => made_name(root, mistakes),
    };
    Some(ProductId::new(domain?, name?))
}

fn named<T>(key: &str, node: &Node, mistakes: &mut Mistakes) -> Option<T>
where
    T: std::str::FromStr<Err = schemas::InvalidName>,
{
    let given = node.text()?;
    match given.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            let slug = slug(given);
            let instead = if slug.parse::<T>().is_ok() { slug } else { "another name".to_owned() };
            mistakes.at(node.place, error.to_string(), format!("`{key}: {instead}`").replace("another name`", "…`"));
            None
        }
    }
}

fn made_name(root: &Node, mistakes: &mut Mistakes) -> Option<ProductName> {
    let object = root.items_at("schema").first();
    let from = root.text_at("name").or_else(|| object.and_then(|object| object.text_at("name")));
    let name = from.and_then(|from| slug(from).parse().ok());
    if name.is_none() {
        let what = "no product name can be made of `name` or of the schema object's name";
        mistakes.at(root.place, what, "`dataProduct: …`, of a-z, 0-9 and -");
    }
    name
}

/// Lower case, everything but letters and digits as single `-`.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_matches(|c: char| c == '-').trim_start_matches(|c: char| !c.is_ascii_lowercase()).to_owned()
}

/// What people read.
pub(super) fn about(root: &Node) -> Product {
    let described = |key: &str| root.get("description").and_then(|node| node.text_at(key)).map(str::to_owned);
    let channel = |node: &Node| {
        let name = node.text_at("channel")?;
        Some((name.to_owned(), node.text_at("url").unwrap_or_default().to_owned()))
    };
    Product {
        title: root.text_at("name").map(str::to_owned),
        purpose: described("purpose"),
        usage: described("usage"),
        limitations: described("limitations"),
        tags: root.items_at("tags").iter().filter_map(Node::text).map(str::to_owned).collect(),
        team: root.get("team").and_then(|node| team(node, root.text_at("domain").unwrap_or_default())),
        support: root.items_at("support").iter().filter_map(channel).collect(),
    }
}

/// ODCS 3.0 has a list of members, 3.1 and later an object as well. A team without a name is the domain's.
fn team(node: &Node, domain: &str) -> Option<Team> {
    let member = |node: &Node| Some((node.text_at("username")?.to_owned(), node.text_at("role").map(str::to_owned)));
    let members = if node.items().is_empty() { node.items_at("members") } else { node.items() };
    if members.is_empty() && node.entries().is_empty() {
        return None;
    }
    Some(Team {
        name: node.text_at("name").unwrap_or(domain).to_owned(),
        members: members.iter().filter_map(member).collect(),
    })
}

impl Reader<'_> {
    /// `slaProperties`, as objectives. Their ids are `sla:` and the property.
    pub(super) fn service_levels(&mut self, root: &Node) {
        let default = root.text_at("slaDefaultElement");
        for entry in root.items_at("slaProperties") {
            let (Some(property), Some(value)) = (entry.text_at("property"), entry.get("value")) else { continue };
            let id = match entry.get("id").filter(|id| id.text().is_some()) {
                Some(id) => self.given_id(id.text().unwrap_or_default(), id.place),
                None => {
                    let name: String =
                        property.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
                    self.made_id(None, &format!("sla:{name}"))
                }
            };
            let threshold = value.number().and_then(|text| text.parse::<f64>().ok());
            let description = entry.text_at("description").or_else(|| value.text());
            let element = entry.text_at("element").or(default);
            self.objectives.push(Objective {
                id,
                path: element.and_then(|element| self.element(root, element)),
                metric: property.to_owned(),
                threshold: threshold.map(|number| BTreeMap::from([("value".to_owned(), number)])).unwrap_or_default(),
                unit: entry.text_at("unit").map(str::to_owned),
                description: description.map(Into::into),
            });
        }
    }

    /// `Order.placed_at` as a path; `None` for what is no field of the schema, such as the object itself.
    fn element(&self, root: &Node, element: &str) -> Option<Path> {
        let object = root.items_at("schema").first()?.text_at("name")?;
        let inner = element.strip_prefix(object).and_then(|rest| rest.strip_prefix('.')).unwrap_or(element);
        let (mut at, mut path) = (self.schema.root(), Path::default());
        for step in inner.split('.') {
            let field = self.schema.field(at, step)?;
            path = path.then(Segment::Field(step.into()));
            at = super::native::present(self.schema, field.node)?.0;
        }
        Some(path)
    }
}

/// The one schema object of a contract.
pub(super) fn object<'n>(root: &'n Node, mistakes: &mut Mistakes) -> Option<&'n Node> {
    let objects = root.items_at("schema");
    match objects {
        [only] => Some(only),
        [] => {
            if root.get("schema").is_some_and(|node| matches!(node.value, super::yaml::Value::List(_))) {
                let place: Place = value_place(root, "schema");
                mistakes.at(place, "`schema` is empty", "one schema object with `name` and `properties`");
            }
            None
        }
        [_, second, ..] => {
            let what = format!("a product's contract describes one schema object, this has {}", objects.len());
            mistakes.at(second.place, what, "a contract of its own for each");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_slugs() {
        assert_eq!(slug("My  Quantum (v2)"), "my-quantum-v2");
        assert_eq!(slug("  9 lives_"), "lives");
        assert_eq!(slug("…"), "");
    }
}
