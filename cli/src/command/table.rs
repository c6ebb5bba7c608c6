//! Tables for people: rows of texts in, aligned columns out.

use std::fmt;

/// Rows of `N` cells under a head.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

// === impl Table ===

impl<const N: usize> Table<N> {
    /// A table with a head and no rows.
    pub(super) fn new(head: [&str; N]) -> Self {
        Self { rows: vec![head.map(str::to_owned)] }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: [String; N]) {
        // A line's end, or worse a terminal's escape, in somebody's text must not break the table.
        self.rows.push(cells.map(|cell| cell.replace(char::is_control, " ")));
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_stay_lines() {
        let mut table = Table::new(["job", "error"]);
        table.row(["1".to_owned(), "two\nlines\u{1b}[31m".to_owned()]);
        table.row(["1234".to_owned(), String::new()]);
        assert_eq!(table.to_string(), "job   error\n1     two lines [31m\n1234");
    }
}
