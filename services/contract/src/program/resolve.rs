//! Which writer types can be read as which of the contract's ("Schema Resolution" in the specification),
//! decided before a program is made, so that making it cannot fail half way.
//!
//! Stricter than the specification in one thing: two different logical types, or decimals of different
//! scale, do not resolve, because the number would silently mean something else.

use std::collections::{HashMap, HashSet};

use super::Unresolvable;
use crate::avro::{Enumeration, Kind, Logical, NodeId, Record, Schema};

/// How deep schemas and records may nest.
pub(super) const DEPTH: usize = 64;

/// A writer's and a reader's schema, side by side.
#[derive(Debug)]
pub(super) struct Pair<'s> {
    pub(super) writer: &'s Schema,
    pub(super) reader: &'s Schema,
    assumed: HashSet<(NodeId, NodeId)>,
    /// Pairs that do not fit: unions of look-alikes would try each again on every way that leads to it.
    refused: HashMap<(NodeId, NodeId), Unresolvable>,
    path: Vec<String>,
}

impl<'s> Pair<'s> {
    pub(super) fn new(writer: &'s Schema, reader: &'s Schema) -> Self {
        Self { writer, reader, assumed: HashSet::new(), refused: HashMap::new(), path: Vec::new() }
    }

    /// Whether some value written as `w` can be read as `r`.
    pub(super) fn fits(&mut self, w: NodeId, r: NodeId) -> Result<(), Unresolvable> {
        // A pair that is met again fits if everything else does.
        if self.assumed.contains(&(w, r)) {
            return Ok(());
        }
        if let Some(refused) = self.refused.get(&(w, r)) {
            return Err(refused.clone());
        }
        if self.path.len() > DEPTH {
            return Err(self.why(format!("the schema nests more than {DEPTH} deep")));
        }
        self.assumed.insert((w, r));
        let outcome = self.fits_anew(w, r);
        if let Err(error) = &outcome {
            self.assumed.remove(&(w, r));
            self.refused.insert((w, r), error.clone());
        }
        outcome
    }

    fn fits_anew(&mut self, w: NodeId, r: NodeId) -> Result<(), Unresolvable> {
        let (wn, rn) = (self.writer.node(w), self.reader.node(r));
        if let Kind::Union(branches) = &wn.kind {
            let mut first = None;
            for branch in branches {
                match self.fits(*branch, r) {
                    Ok(()) => return Ok(()),
                    Err(error) => first = first.or(Some(error)),
                }
            }
            return Err(first.unwrap_or_else(|| self.why("the writer's union has no branch".to_owned())));
        }
        if let Kind::Union(branches) = &rn.kind {
            return match self.branch(w, branches) {
                Some(_) => Ok(()),
                None => Err(self
                    .why(format!("no branch of the contract's union can hold the writer's {}", wn.kind.type_word()))),
            };
        }
        if let Some(why) = logical_clash(wn.logical, rn.logical) {
            return Err(self.why(why));
        }
        match (&wn.kind, &rn.kind) {
            (Kind::Record(written), Kind::Record(read)) => self.records(written, read),
            (Kind::Array(w), Kind::Array(r)) => self.under("[]", *w, *r),
            (Kind::Map(w), Kind::Map(r)) => self.under("{}", *w, *r),
            (Kind::Enum(written), Kind::Enum(read)) => {
                self.named(&written.name, &read.name, &read.aliases)?;
                match written.symbols.iter().any(|symbol| symbol_of(read, symbol).is_some())
                    || written.symbols.is_empty()
                {
                    true => Ok(()),
                    false => Err(self.why("the contract knows none of the writer's symbols".to_owned())),
                }
            }
            (Kind::Fixed(written), Kind::Fixed(read)) => {
                self.named(&written.name, &read.name, &read.aliases)?;
                match written.size == read.size {
                    true => Ok(()),
                    false => Err(self
                        .why(format!("the writer's fixed has {} bytes, the contract's {}", written.size, read.size))),
                }
            }
            (written, read) if same_primitive(written, read) || promotes(written, read) => Ok(()),
            (written, read) => Err(self.why(format!(
                "the writer's {} cannot be read as the contract's {}",
                written.type_word(),
                read.type_word()
            ))),
        }
    }

    fn records(&mut self, written: &Record, read: &Record) -> Result<(), Unresolvable> {
        self.named(&written.name, &read.name, &read.aliases)?;
        let sources = sources(written, read);
        for (field, source) in read.fields.iter().zip(sources) {
            match source.and_then(|index| written.fields.get(index)) {
                Some(from) => self.under(&field.name, from.node, field.node)?,
                None if field.default.is_some() => {}
                None => {
                    self.path.push(field.name.clone());
                    let error = self.why("the writer does not have it, and the contract gives no default".to_owned());
                    self.path.pop();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn under(&mut self, step: &str, w: NodeId, r: NodeId) -> Result<(), Unresolvable> {
        self.path.push(step.to_owned());
        let outcome = self.fits(w, r);
        self.path.pop();
        outcome
    }

    /// The branch of the reader's union that a writer's type (no union) is read as: one of the same type
    /// before one that it promotes to. A type without a name is at most once in a union, and no reader looks
    /// further: a time of day that the contract's union knows as a timestamp fits nothing, it is not read as the
    /// float beside it.
    pub(super) fn branch(&mut self, w: NodeId, branches: &[NodeId]) -> Option<NodeId> {
        let (writer, reader) = (self.writer, self.reader);
        let kind = &writer.node(w).kind;
        let alike = |r: &NodeId| same_type(kind, &reader.node(*r).kind);
        let same = branches.iter().copied().filter(|r| alike(r));
        let named = matches!(kind, Kind::Record(_) | Kind::Enum(_) | Kind::Fixed(_));
        if !named && let Some(only) = same.clone().next() {
            return self.fits(w, only).is_ok().then_some(only);
        }
        let other = branches.iter().copied().filter(|r| !alike(r));
        same.chain(other).find(|r| self.fits(w, *r).is_ok())
    }

    fn named(&self, written: &str, read: &str, aliases: &[String]) -> Result<(), Unresolvable> {
        if unqualified(written) == unqualified(read)
            || aliases.iter().any(|alias| alias == written || unqualified(alias) == unqualified(written))
        {
            return Ok(());
        }
        Err(self.why(format!("the writer's type is named {written}, the contract's {read}")))
    }

    fn why(&self, why: String) -> Unresolvable {
        let mut path = String::new();
        for step in &self.path {
            if !path.is_empty() && !step.starts_with(['[', '{']) {
                path.push('.');
            }
            path.push_str(step);
        }
        Unresolvable { path, why }
    }
}

/// For each field of the reader's record, the index of the writer's field it is read from: by its name,
/// else by its aliases, but never one that the reader knows by name.
pub(super) fn sources(written: &Record, read: &Record) -> Vec<Option<usize>> {
    let at = |name: &str| written.fields.iter().position(|field| field.name == name);
    let mut taken = HashSet::new();
    read.fields
        .iter()
        .map(|field| {
            let by_alias = || {
                let free = field.aliases.iter().filter(|alias| read.fields.iter().all(|other| other.name != **alias));
                free.filter_map(|alias| at(alias)).next()
            };
            at(&field.name).or_else(by_alias).filter(|index| taken.insert(*index))
        })
        .collect()
}

/// What the reader reads a symbol as; `None` where it does not know it and has no default.
pub(super) fn symbol_of<'r>(read: &'r Enumeration, symbol: &str) -> Option<&'r str> {
    let known = read.symbols.iter().find(|known| *known == symbol).map(String::as_str);
    known.or(read.default.as_deref())
}

fn logical_clash(written: Option<Logical>, read: Option<Logical>) -> Option<String> {
    match (written?, read?) {
        (Logical::Decimal { scale: written, .. }, Logical::Decimal { scale: read, .. }) if written != read => {
            Some(format!("the writer's decimal has scale {written}, the contract's {read}"))
        }
        (Logical::Decimal { .. }, Logical::Decimal { .. }) => None,
        (written, read) if written != read => Some(format!("the writer means {written:?}, the contract {read:?}")),
        _ => None,
    }
}

fn same_primitive(written: &Kind, read: &Kind) -> bool {
    let primitive = matches!(
        read,
        Kind::Null | Kind::Boolean | Kind::Int | Kind::Long | Kind::Float | Kind::Double | Kind::Bytes | Kind::String
    );
    primitive && std::mem::discriminant(written) == std::mem::discriminant(read)
}

fn same_type(written: &Kind, read: &Kind) -> bool {
    let names = match (written, read) {
        (Kind::Record(w), Kind::Record(r)) => Some((&w.name, &r.name)),
        (Kind::Enum(w), Kind::Enum(r)) => Some((&w.name, &r.name)),
        (Kind::Fixed(w), Kind::Fixed(r)) => Some((&w.name, &r.name)),
        _ => None,
    };
    std::mem::discriminant(written) == std::mem::discriminant(read)
        && names.is_none_or(|(w, r)| unqualified(w) == unqualified(r))
}

fn promotes(written: &Kind, read: &Kind) -> bool {
    matches!(
        (written, read),
        (Kind::Int, Kind::Long | Kind::Float | Kind::Double)
            | (Kind::Long, Kind::Float | Kind::Double)
            | (Kind::Float, Kind::Double)
            | (Kind::String, Kind::Bytes)
            | (Kind::Bytes, Kind::String)
    )
}

fn unqualified(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, name)| name)
}
