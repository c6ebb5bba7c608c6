//! Numbers of things in sentences: a number and the name of one thing in, words out.

/// "1 tile", "2 tiles".
pub(crate) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!([0, 1, 2].map(|number| count(number, "tile")), ["0 tiles", "1 tile", "2 tiles"]);
    }
}
