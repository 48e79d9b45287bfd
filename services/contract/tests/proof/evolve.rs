//! What a contract reads instead of what was written: every kind of evolution that resolves, and branches,
//! symbols and fields that are gone, so that some records do not.

use super::generate::Generator;
use super::random::Random;
use super::schema::{Body, Field, Mark, NULL, Named, Primitive, Schema, Type};

/// A reader's schema. Its named types stand at the same indices as the writer's; new ones follow.
pub(crate) fn evolved(written: &Schema, random: &mut Random) -> Schema {
    let mut generator = Generator::beside(random, written.named.clone());
    for index in 0..written.named.len() {
        let Named { mut name, mut aliases, body } = written.named[index].clone();
        // The product's own record keeps its name.
        if index > 0 && generator.random.one_in(10) {
            let (space, simple) = name.rsplit_once('.').map_or(("", &*name), |(space, simple)| (space, simple));
            let renamed = if space.is_empty() { format!("New{simple}") } else { format!("{space}.New{simple}") };
            aliases = vec![name];
            name = renamed;
        }
        let body = match body {
            Body::Record(fields) => Body::Record(record(fields, &mut generator)),
            Body::Enum { symbols, default } => enumeration(symbols, default, generator.random),
            fixed @ Body::Fixed { .. } => fixed,
        };
        generator.named[index] = Named { name, aliases, body };
    }
    for index in 0..generator.named.len() {
        let Body::Record(mut fields) = generator.named[index].body.clone() else { continue };
        for field in fields.iter_mut().filter(|field| field.default.is_some()) {
            field.default = Some(generator.default(&field.kind, 0));
        }
        generator.named[index].body = Body::Record(fields);
    }
    Schema { named: generator.named }
}

fn record(written: Vec<Field>, generator: &mut Generator<'_>) -> Vec<Field> {
    let mut fields = Vec::new();
    let count = written.len();
    for mut field in written {
        if count > 1 && generator.random.one_in(12) {
            continue;
        }
        if generator.random.one_in(10) {
            field.aliases = vec!["never".to_owned(), field.name.clone()];
            field.name = format!("new_{}", field.name);
        }
        field.kind = kind(&field.kind, generator);
        fields.push(field);
    }
    while generator.random.one_in(5) {
        let kind = generator.kind(2);
        // A default is found once every type is what it will be.
        let default = Some(serde_json::Value::Null);
        fields.push(Field { name: format!("added{}", fields.len()), aliases: Vec::new(), kind, default });
    }
    if generator.random.one_in(4) {
        generator.random.shuffle(&mut fields);
    }
    fields
}

fn enumeration(mut symbols: Vec<String>, mut default: Option<String>, random: &mut Random) -> Body {
    if random.one_in(4) && symbols.len() > 1 {
        symbols.remove(random.below(symbols.len()));
        default = default.filter(|default| symbols.contains(default));
    }
    if random.one_in(6) {
        symbols.insert(random.below(symbols.len()), "Another".to_owned());
    }
    if random.one_in(6) {
        random.shuffle(&mut symbols);
    }
    if random.one_in(6) {
        default = Some(random.pick(&symbols).clone());
    }
    Body::Enum { symbols, default }
}

/// What a type is read as.
fn kind(written: &Type, generator: &mut Generator<'_>) -> Type {
    let read = match written {
        Type::Primitive(primitive, mark) => promoted(*primitive, *mark, generator.random),
        Type::Array(item) => Type::Array(Box::new(kind(item, generator))),
        Type::Map(value) => Type::Map(Box::new(kind(value, generator))),
        Type::Union(branches) => return union(branches, generator),
        Type::Named(index) => Type::Named(*index),
    };
    match generator.random.below(24) {
        0 | 1 => Type::Union(if generator.random.one_in(2) { vec![NULL, read] } else { vec![read, NULL] }),
        2 => {
            let other = generator.single(3);
            if generator.alike(&other, &read) { read } else { Type::Union(vec![other, read]) }
        }
        3 => Type::Union(vec![read]),
        _ => read,
    }
}

fn promoted(primitive: Primitive, mark: Option<Mark>, random: &mut Random) -> Type {
    let wider: &[Primitive] = match primitive {
        Primitive::Int => &[Primitive::Long, Primitive::Float, Primitive::Double],
        Primitive::Long => &[Primitive::Float, Primitive::Double],
        Primitive::Float => &[Primitive::Double],
        Primitive::Text => &[Primitive::Bytes],
        Primitive::Bytes => &[Primitive::Text],
        Primitive::Null | Primitive::Boolean | Primitive::Double => &[],
    };
    if !wider.is_empty() && random.one_in(6) {
        return Type::Primitive(*random.pick(wider), None);
    }
    // An annotation may be dropped.
    Type::Primitive(primitive, mark.filter(|_| !random.one_in(12)))
}

fn union(written: &[Type], generator: &mut Generator<'_>) -> Type {
    let mut branches: Vec<Type> = Vec::new();
    for branch in written {
        let read = match branch {
            Type::Primitive(primitive, mark) => promoted(*primitive, *mark, generator.random),
            Type::Array(item) => Type::Array(Box::new(kind(item, generator))),
            Type::Map(value) => Type::Map(Box::new(kind(value, generator))),
            other => other.clone(),
        };
        let fits = |other: &Type| !branches.iter().any(|known| generator.alike(known, other));
        match (fits(&read), fits(branch)) {
            (true, _) => branches.push(read),
            (false, true) => branches.push(branch.clone()),
            (false, false) => {}
        }
    }
    if branches.len() > 1 && generator.random.one_in(10) {
        branches.remove(generator.random.below(branches.len()));
    }
    if generator.random.one_in(10) {
        let more = generator.single(3);
        if !branches.iter().any(|known| generator.alike(known, &more)) {
            branches.push(more);
        }
    }
    if generator.random.one_in(6) {
        generator.random.shuffle(&mut branches);
    }
    let alone = match branches.iter().find(|branch| **branch != NULL) {
        Some(branch) if generator.random.one_in(16) => Some(branch.clone()),
        _ => None,
    };
    alone.unwrap_or(Type::Union(branches))
}
