//! A record as JSON: found as a program finds it, and given to the `cel` crate.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::super::{Expression, Found, Input, Rows, Texts, Want};
use super::NOW;

/// What an expression says of a record.
pub(super) fn judge(expression: &Expression, record: &Json) -> Result<bool, String> {
    let mut tables = Tables { widths: Vec::new(), rows: Rows::default() };
    let plans: Vec<Plan<'_>> = expression.inputs().iter().map(|input| tables.plan(input)).collect();
    let widths = tables.widths.clone();
    tables.rows.prepare(&widths);
    let found: Vec<Found<'_>> = plans.iter().map(|plan| tables.found(plan, record, "")).collect();
    let mut texts = Texts::default();
    let said = expression.holds(&found, &tables.rows, NOW, &mut texts).map_err(|error| error.message);
    // Asked again, with the same memory, it says the same.
    let again = expression.holds(&found, &tables.rows, NOW, &mut texts).map_err(|error| error.message);
    assert_eq!(said, again);
    said
}

struct Plan<'i> {
    input: &'i Input,
    table: u32,
    columns: Vec<Plan<'i>>,
}

struct Tables<'a> {
    widths: Vec<u32>,
    rows: Rows<'a>,
}

impl<'a> Tables<'a> {
    fn plan<'i>(&mut self, input: &'i Input) -> Plan<'i> {
        let table = self.widths.len() as u32;
        if matches!(input.want, Want::Rows | Want::Entries) {
            self.widths.push(input.items.len() as u32);
        }
        Plan { input, table, columns: input.items.iter().map(|column| self.plan(column)).collect() }
    }

    fn found(&mut self, plan: &Plan<'_>, record: &'a Json, key: &'a str) -> Found<'a> {
        if plan.input.want == Want::Key {
            return Found::Text(key);
        }
        let path = plan.input.path.to_string();
        let steps = path.split('.').filter(|step| !step.is_empty());
        let value = steps.fold(record, |value, step| value.get(step).unwrap_or(&Json::Null));
        if value.is_null() {
            return Found::Null;
        }
        match plan.input.want {
            Want::Items => Found::Int(items(value).len() as i64),
            Want::Rows | Want::Entries => {
                self.rows.begin(plan.table);
                for (key, item) in items(value) {
                    self.rows.push(plan.table);
                    for (column, plan_of_column) in plan.columns.iter().enumerate() {
                        let found = self.found(plan_of_column, item, key);
                        self.rows.set(plan.table, column as u32, found);
                    }
                }
                self.rows.range(plan.table)
            }
            _ => scalar(value),
        }
    }
}

fn items(value: &Json) -> Vec<(&str, &Json)> {
    match value {
        Json::Array(items) => items.iter().map(|item| ("", item)).collect(),
        Json::Object(entries) => entries.iter().map(|(key, value)| (key.as_str(), value)).collect(),
        other => panic!("{other} has no items"),
    }
}

fn scalar(value: &Json) -> Found<'_> {
    match value {
        Json::Null => Found::Null,
        Json::Bool(value) => Found::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Found::Int(value),
            None => Found::Float(number.as_f64().expect("a double")),
        },
        Json::String(text) => Found::Text(text),
        Json::Array(_) | Json::Object(_) => Found::Present,
    }
}

/// The record as the crate has it.
pub(super) fn value(json: &Json) -> cel::Value {
    match json {
        Json::Null => cel::Value::Null,
        Json::Bool(value) => cel::Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => cel::Value::Int(value),
            None => cel::Value::Float(number.as_f64().expect("a double")),
        },
        Json::String(text) => cel::Value::from(text.as_str()),
        Json::Array(items) => cel::Value::from(items.iter().map(value).collect::<Vec<_>>()),
        Json::Object(entries) => {
            let entries = entries.iter().map(|(key, item)| (key.clone(), value(item)));
            cel::Value::from(entries.collect::<HashMap<String, cel::Value>>())
        }
    }
}
