//! Random conditions.

use super::{Base, Items, Kind, PATTERNS, Place, SPANS, TIMES, Tree};
use crate::random::Random;

const ORDERS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

/// How deep a condition may be for comprehensions to go into it.
const LEVELS: usize = 3;

/// A random condition.
pub(crate) fn random(places: &[Place], random: &mut Random, depth: usize) -> Tree {
    let two = |random: &mut Random| {
        (Box::new(self::random(places, random, depth + 1)), Box::new(self::random(places, random, depth + 1)))
    };
    match random.below(if depth > 2 { 6 } else { 11 }) {
        6 | 7 => {
            let (a, b) = two(random);
            Tree::Binary("&&", a, b)
        }
        8 => {
            let (a, b) = two(random);
            Tree::Binary("||", a, b)
        }
        9 => Tree::Not(Box::new(self::random(places, random, depth + 1))),
        10 => {
            let (a, b) = two(random);
            Tree::Choose(Box::new(self::random(places, random, depth + 1)), a, b)
        }
        _ => about(random.pick(places), places, random, depth),
    }
}

/// A condition about one field at least.
fn about(place: &Place, places: &[Place], random: &mut Random, level: usize) -> Tree {
    if random.one_in(6) {
        let test = if random.one_in(2) { "==" } else { "!=" };
        return Tree::Binary(test, Box::new(Tree::Field(place.clone())), Box::new(Tree::Null));
    }
    if random.one_in(6) && place.source().contains('.') && !place.path.is_empty() {
        return Tree::Has(place.clone());
    }
    let field = Box::new(Tree::Field(place.clone()));
    match &place.kind {
        Kind::Bool | Kind::Int | Kind::Double | Kind::Decimal(_) | Kind::Span(_) if random.one_in(8) => {
            text(Box::new(Tree::Convert("string", field)), random)
        }
        Kind::Bool if random.one_in(2) => *field,
        Kind::Bool => Tree::Binary("==", field, Box::new(Tree::Bool(random.one_in(2)))),
        Kind::Items(Some(items)) if !random.one_in(4) => over(place, items, places, random, level),
        Kind::Int | Kind::Items(_) if random.one_in(4) => {
            let items = (0..random.below(4)).map(|_| integer(places, random, 2)).collect();
            Tree::In(Box::new(integer(std::slice::from_ref(place), random, 0)), items)
        }
        Kind::Int | Kind::Items(_) => compare(
            integer(std::slice::from_ref(place), random, 0),
            if random.one_in(6) { double(places, random, 0) } else { integer(places, random, 0) },
            random,
        ),
        Kind::Double => compare(
            double(std::slice::from_ref(place), random, 0),
            if random.one_in(6) { integer(places, random, 0) } else { double(places, random, 0) },
            random,
        ),
        Kind::Decimal(_) => {
            let left = decimal(std::slice::from_ref(place), random, 0);
            let right = match random.below(3) {
                0 => integer(places, random, 1),
                1 => Tree::Double(random.below(9) as f64 / 4.0),
                _ => decimal(std::slice::from_ref(place), random, 1),
            };
            compare(left, right, random)
        }
        Kind::Text => text(field, random),
        Kind::Symbol(symbols) => {
            let symbol = Tree::Text(random.pick(symbols).clone());
            match random.below(3) {
                0 => Tree::In(field, vec![symbol]),
                _ => Tree::Binary(if random.one_in(2) { "==" } else { "!=" }, field, Box::new(symbol)),
            }
        }
        Kind::Bytes if random.one_in(2) => {
            let size = Tree::Size(field);
            compare(size, Tree::Int(random.below(4) as i64), random)
        }
        Kind::Bytes => compare(*field, Tree::Bytes("a"), random),
        Kind::Time(_) => time(field, random),
        Kind::Span(_) => compare(span(field, random), Tree::Span(random.below(SPANS.len())), random),
        Kind::Record => Tree::Binary("!=", field, Box::new(Tree::Null)),
    }
}

fn word(from: &[&'static str], random: &mut Random) -> &'static str {
    from[random.below(from.len())]
}

fn compare(left: Tree, right: Tree, random: &mut Random) -> Tree {
    Tree::Binary(word(&ORDERS, random), Box::new(left), Box::new(right))
}

fn of(places: &[Place], random: &mut Random, fits: impl Fn(&Kind) -> bool) -> Option<Place> {
    let some: Vec<&Place> = places.iter().filter(|place| fits(&place.kind)).collect();
    if some.is_empty() { None } else { Some((*random.pick(&some)).clone()) }
}

fn integer(places: &[Place], random: &mut Random, depth: usize) -> Tree {
    if depth < 2 && random.one_in(3) {
        let (a, b) = (integer(places, random, depth + 1), integer(places, random, depth + 1));
        return Tree::Binary(word(&["+", "-", "*", "/", "%"], random), Box::new(a), Box::new(b));
    }
    if depth < 2 && random.one_in(8) {
        return Tree::Negative(Box::new(integer(places, random, depth + 1)));
    }
    if random.one_in(12)
        && let Some(place) = of(places, random, |kind| matches!(kind, Kind::Double | Kind::Time(_)))
    {
        return Tree::Convert("int", Box::new(Tree::Field(place)));
    }
    match of(places, random, |kind| matches!(kind, Kind::Int | Kind::Items(_))) {
        Some(place) if !random.one_in(3) => match place.kind {
            Kind::Items(_) => Tree::Size(Box::new(Tree::Field(place))),
            _ => Tree::Field(place),
        },
        _ => Tree::Int(random.whole().saturating_abs()),
    }
}

fn double(places: &[Place], random: &mut Random, depth: usize) -> Tree {
    if depth < 2 && random.one_in(3) {
        let (a, b) = (double(places, random, depth + 1), double(places, random, depth + 1));
        return Tree::Binary(word(&["+", "-", "*", "/"], random), Box::new(a), Box::new(b));
    }
    if random.one_in(8)
        && let Some(place) = of(places, random, |kind| matches!(kind, Kind::Int | Kind::Double))
    {
        return Tree::Convert("double", Box::new(Tree::Field(place)));
    }
    match of(places, random, |kind| matches!(kind, Kind::Double)) {
        Some(place) if !random.one_in(3) => Tree::Field(place),
        _ => Tree::Double(random.below(40) as f64 / 4.0),
    }
}

fn decimal(places: &[Place], random: &mut Random, depth: usize) -> Tree {
    if depth < 2 && random.one_in(3) {
        let a = decimal(places, random, depth + 1);
        let b = if random.one_in(2) { Tree::Int(random.below(9) as i64) } else { decimal(places, random, depth + 1) };
        return Tree::Binary(word(&["+", "-", "*"], random), Box::new(a), Box::new(b));
    }
    let place = of(places, random, |kind| matches!(kind, Kind::Decimal(_))).expect("a field of this kind");
    Tree::Field(place)
}

fn text(field: Box<Tree>, random: &mut Random) -> Tree {
    let field = if random.one_in(2) { Box::new(changed(*field, random, 0)) } else { field };
    let part = Tree::Text((*random.pick(&["", "a", "7", "é", "漢a"])).to_owned());
    match random.below(8) {
        5 => {
            let name = word(&["indexOf", "lastIndexOf"], random);
            let mut args = vec![part];
            args.extend(random.one_in(2).then(|| Tree::Int(random.below(4) as i64)));
            compare(Tree::Call(name, field, args), Tree::Int(random.below(4) as i64 - 1), random)
        }
        6 => compare(Tree::Convert("int", field), Tree::Int(random.whole()), random),
        7 => compare(Tree::Convert("double", field), Tree::Double(random.below(9) as f64 / 4.0), random),
        0 => Tree::Method(word(&["startsWith", "endsWith", "contains"], random), field, Box::new(part)),
        1 => Tree::Matches(field, random.below(PATTERNS.len())),
        2 => compare(Tree::Size(field), Tree::Int(random.below(5) as i64), random),
        3 => Tree::In(field, vec![part, Tree::Text("aa".to_owned()), Tree::Null]),
        _ => compare(*field, part, random),
    }
}

fn time(field: Box<Tree>, random: &mut Random) -> Tree {
    let known = Box::new(Tree::Time(random.below(TIMES.len())));
    let length = Box::new(Tree::Span(random.below(SPANS.len())));
    match random.below(5) {
        3 => {
            let args = if random.one_in(2) { Vec::new() } else { vec![Tree::Text("-05:30".to_owned())] };
            let name = word(&super::moments::PARTS, random);
            compare(Tree::Call(name, field, args), Tree::Int(random.below(60) as i64), random)
        }
        4 => compare(
            Tree::Call(
                word(&super::moments::PARTS[..4], random),
                Box::new(Tree::Binary("-", Box::new(Tree::Now), field)),
                Vec::new(),
            ),
            Tree::Int(random.below(60) as i64),
            random,
        ),
        0 => compare(*field, *known, random),
        1 => compare(Tree::Binary("-", Box::new(Tree::Now), field), *length, random),
        _ => compare(Tree::Binary("+", field, length), Tree::Now, random),
    }
}

fn span(field: Box<Tree>, random: &mut Random) -> Tree {
    match random.below(3) {
        0 => Tree::Negative(field),
        1 => Tree::Binary("-", field, Box::new(Tree::Span(1))),
        _ => *field,
    }
}

/// About the items of an array or map.
fn over(place: &Place, items: &Items, places: &[Place], random: &mut Random, level: usize) -> Tree {
    let scalar = !items.map && items.places.first().is_some_and(|item| item.path.is_empty());
    if scalar && random.one_in(3) {
        let item = Place { base: Base::At(Box::new(place.clone()), random.below(3) as i64), ..items.places[0].clone() };
        return about(&item, places, random, level + 1);
    }
    if random.one_in(5)
        && let Some(needle) = needle(items, places, random)
    {
        return Tree::Among(Box::new(needle), place.clone());
    }
    let name = format!("v{level}");
    let mut inner: Vec<Place> = Vec::new();
    if items.map {
        inner.push(Place { base: Base::Key(name.clone()), path: Vec::new(), kind: Kind::Text });
    }
    let source = if items.map { format!("{}[{name}]", place.source()) } else { name.clone() };
    let base = Base::Item { name: name.clone(), source };
    inner.extend(items.places.iter().map(|item| item.from(&base)));
    // Sometimes about the record as well as the item.
    if inner.is_empty() || random.one_in(3) {
        inner.extend(places.iter().cloned());
    }
    let body = if level < LEVELS { self::random(&inner, random, level + 1) } else { Tree::Bool(random.one_in(2)) };
    let how = word(&["all", "exists", "exists_one", "filter"], random);
    let over = Tree::Over(how, place.clone(), name, Box::new(body));
    if how == "filter" { compare(over, Tree::Int(random.below(4) as i64), random) } else { over }
}

/// Something that may be among the items.
fn needle(items: &Items, places: &[Place], random: &mut Random) -> Option<Tree> {
    if items.map {
        return Some(Tree::Text((*random.pick(&["", "a", "é"])).to_owned()));
    }
    match items.places.first().filter(|item| item.path.is_empty())?.kind {
        Kind::Text => Some(Tree::Text((*random.pick(&["", "a", "7"])).to_owned())),
        Kind::Int => Some(integer(places, random, 1)),
        Kind::Bool => Some(Tree::Bool(random.one_in(2))),
        _ => None,
    }
}

/// A function of a text, perhaps of that of another.
fn changed(text: Tree, random: &mut Random, depth: usize) -> Tree {
    let part = |random: &mut Random| Tree::Text((*random.pick(&["", "a", "7", "é", "bX"])).to_owned());
    let index = |random: &mut Random| Tree::Int(random.below(5) as i64);
    let target = Box::new(if depth < 2 && random.one_in(2) { changed(text, random, depth + 1) } else { text });
    match random.below(7) {
        0 => Tree::Call(word(&["lowerAscii", "upperAscii", "trim", "reverse"], random), target, Vec::new()),
        1 => Tree::Call("charAt", target, vec![index(random)]),
        2 => Tree::Call("substring", target, vec![index(random)]),
        3 => Tree::Call("substring", target, vec![Tree::Int(random.below(2) as i64), index(random)]),
        4 => Tree::Call("replace", target, vec![part(random), part(random)]),
        5 => Tree::Call("replace", target, vec![part(random), part(random), Tree::Int(random.below(4) as i64 - 1)]),
        _ => Tree::Binary("+", target, Box::new(part(random))),
    }
}
