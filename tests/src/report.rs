//! A render's report: a JSON file in, its numbers by name out.

use std::{fs, path::Path};

use serde_json::Value;

/// The report of one job.
#[derive(Debug, Clone)]
pub struct Report(Value);

/// JSON from text.
///
/// # Panics
/// It is none.
#[must_use]
pub fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

// === impl Report ===

impl Report {
    /// Reads a file.
    ///
    /// # Panics
    /// It is absent or no JSON.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        Self(parse(&fs::read_to_string(path).expect("there is a report")))
    }

    /// The value at a JSON pointer, as in `/plan/tasks`.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn at(&self, pointer: &str) -> &Value {
        let value = self.0.pointer(pointer);
        value.unwrap_or_else(|| panic!("no {pointer} in {}", self.0))
    }

    /// The number at a JSON pointer.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn number(&self, pointer: &str) -> f64 {
        let number = self.at(pointer).as_f64();
        number.unwrap_or_else(|| panic!("{pointer} is no number in {}", self.0))
    }

    /// A number of a stage that was run.
    ///
    /// # Panics
    /// There is no such stage or number.
    #[must_use]
    pub fn stage(&self, stage: &str, field: &str) -> f64 {
        let value = find(self.at("/stages"), stage)[field].as_f64();
        value.unwrap_or_else(|| panic!("no {field} of {stage} in {}", self.0))
    }

    /// A value of a stage's plan; the last one where a stage runs two networks.
    ///
    /// # Panics
    /// There is no such stage.
    #[must_use]
    pub fn planned(&self, stage: &str) -> &Value {
        find(self.at("/plan/stages"), stage)
    }

    /// Tasks done by the worker of this name; 0 for one that is not listed.
    #[must_use]
    pub fn tasks_of(&self, worker: &str) -> u64 {
        let workers = self.at("/workers").as_array().into_iter().flatten();
        let named = workers.filter(|entry| entry["name"] == worker);
        named.filter_map(|entry| entry["tasks"].as_u64()).sum()
    }

    /// What the plan wants the user to know.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let notes = self.at("/plan/notes").as_array().into_iter().flatten();
        notes.filter_map(|note| note.as_str().map(ToOwned::to_owned)).collect()
    }
}

fn find<'a>(stages: &'a Value, name: &str) -> &'a Value {
    let mut stages = stages.as_array().into_iter().flatten().rev();
    let found = stages.find(|stage| stage["stage"] == name);
    found.unwrap_or_else(|| panic!("no stage {name}"))
}
