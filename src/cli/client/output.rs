//! What a command prints.

use clap::Args;
use comfy_table::{Table, presets};
use serde_json::Value;

/// How to print; an option of every client command.
#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// Print what the API answers, as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// A heading and where its value stands.
pub type Column = (&'static str, &'static str);

impl Output {
    /// A list: one line each.
    pub fn list(self, answer: &Value, columns: &[Column]) {
        if self.json {
            return print_json(answer);
        }
        let mut table = new_table();
        table.set_header(columns.iter().map(|(heading, _)| *heading));
        let rows = answer["data"].as_array().or_else(|| answer.as_array());
        for row in rows.into_iter().flatten() {
            table.add_row(columns.iter().map(|(_, place)| shown(row.pointer(place).unwrap_or(&Value::Null))));
        }
        println!("{table}");
    }

    /// One object: a line for each of its fields.
    pub fn object(self, answer: &Value) {
        if self.json {
            return print_json(answer);
        }
        match answer {
            Value::Object(fields) => {
                let mut table = new_table();
                for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                    table.add_row([name.clone(), shown(value)]);
                }
                println!("{table}");
            }
            Value::Null => {}
            other => println!("{}", shown(other)),
        }
        warn(answer);
    }

    /// Something that happened and has no answer: as JSON, an object without fields.
    pub fn done(self, words: &str) {
        match self.json {
            true => println!("{{}}"),
            false => println!("{words}"),
        }
    }
}

/// Warnings that came with an answer, apart from the data.
fn warn(answer: &Value) {
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        eprintln!("warning: {}: {}", shown(&warning["field"]), shown(&warning["message"]));
    }
}

fn print_json(value: &Value) {
    println!("{value:#}");
}

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| !item.is_object()) => {
            items.iter().map(shown).collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join("\n"),
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            fields.map(|(name, value)| format!("{name}: {}", shown(value))).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}
