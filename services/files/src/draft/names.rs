//! Names that Avro allows, made of those that files have.

use std::collections::BTreeSet;

/// Longest name that is made, in characters.
const MAX_NAME: usize = 120;

/// Whether Avro allows the name as it is.
fn is_allowed(name: &str) -> bool {
    let mut letters = name.chars();
    name.len() <= 255
        && letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// Letters that have a plain one to stand for them.
fn plain(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ä' | 'æ' => "ae",
        'ö' | 'ø' | 'œ' => "oe",
        'ü' => "ue",
        'Ä' | 'Æ' => "Ae",
        'Ö' | 'Ø' => "Oe",
        'Ü' => "Ue",
        'ß' => "ss",
        'à' | 'á' | 'â' | 'ã' | 'å' => "a",
        'è' | 'é' | 'ê' | 'ë' => "e",
        'ì' | 'í' | 'î' | 'ï' => "i",
        'ò' | 'ó' | 'ô' | 'õ' => "o",
        'ù' | 'ú' | 'û' => "u",
        'ç' => "c",
        'ñ' => "n",
        'É' | 'È' | 'Ê' => "E",
        '%' => "percent",
        '#' => "number",
        _ => return None,
    })
}

/// A name of Avro's alphabet: other letters become `_`, and none is at an end.
fn tame(original: &str, empty: &str) -> String {
    let mut name = String::new();
    for letter in original.chars().take(MAX_NAME) {
        match plain(letter) {
            _ if letter.is_ascii_alphanumeric() => name.push(letter),
            Some(letters) => name.push_str(letters),
            None if letter == '_' || !(name.is_empty() || name.ends_with('_')) => name.push('_'),
            None => {}
        }
    }
    let name = name.trim_end_matches('_');
    match name.chars().next() {
        None => empty.to_owned(),
        Some(first) if first.is_ascii_digit() => format!("_{name}"),
        Some(_) => name.to_owned(),
    }
}

/// A name for each, all different: those that are allowed keep theirs.
pub(crate) fn allowed(originals: &[String]) -> Vec<String> {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let keeps =
        |original: &String, taken: &mut BTreeSet<String>| is_allowed(original) && taken.insert(original.clone());
    let kept: Vec<bool> = originals.iter().map(|original| keeps(original, &mut taken)).collect();
    let mut names = Vec::with_capacity(originals.len());
    for (index, (original, kept)) in originals.iter().zip(kept).enumerate() {
        if kept {
            names.push(original.clone());
            continue;
        }
        // A column without a name stands as `[3]`, a second `x` as `x[2]`.
        let nameless = original.starts_with('[') && original.ends_with(']');
        let wanted = if nameless { "" } else { original.as_str() };
        names.push(unused(&tame(wanted, &format!("column_{}", index + 1)), &mut taken));
    }
    names
}

/// The name, or the first with a number behind it that is not taken; taken from now on.
pub(crate) fn unused(wanted: &str, taken: &mut BTreeSet<String>) -> String {
    let mut name = wanted.to_owned();
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("{wanted}_{number}");
        number += 1;
    }
    name
}

/// A name for a type: `order-lines` is `OrderLines`.
pub(crate) fn type_name(name: &str) -> String {
    let mut made = String::new();
    for word in tame(name, "Record").split('_').filter(|word| !word.is_empty()) {
        let mut letters = word.chars();
        made.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        made.push_str(letters.as_str());
    }
    if made.starts_with(|first: char| first.is_ascii_digit()) { format!("_{made}") } else { made }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_allowed_and_stay_different() {
        let given = ["Sepal.Length", "2019", "[3]", "Größe", "a b", "a_b", "x", "x[2]", "日本", "% of all", "ok"];
        let names = allowed(&given.map(str::to_owned));
        let expected = [
            "Sepal_Length",
            "_2019",
            "column_3",
            "Groesse",
            "a_b_2",
            "a_b",
            "x",
            "x_2",
            "column_9",
            "percent_of_all",
            "ok",
        ];
        assert_eq!(names, expected);
        assert_eq!(type_name("order-lines"), "OrderLines");
        assert_eq!(type_name("2019"), "_2019");
    }
}
