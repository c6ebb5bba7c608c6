//! Written texts against A1111's form, read ones against the answers of its two regular expressions in Python.

use proptest::prelude::*;

use super::*;

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_text_has_the_form_that_a1111_writes() {
    let parameters = Parameters {
        prompt: "a red barn, (snow:1.2)\nBREAK hills".to_owned(),
        negative: "blurry".to_owned(),
        fields: fields(&[
            ("Steps", "20"),
            ("Sampler", "Euler a"),
            ("Size", "512x512"),
            ("Hires prompt", "barn, \"old\": größer"),
            ("Unset", ""),
            ("Version", "v1"),
        ]),
    };
    assert_eq!(
        parameters.to_text(),
        "a red barn, (snow:1.2)\nBREAK hills\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Size: 512x512, \
         Hires prompt: \"barn, \\\"old\\\": größer\", Version: v1"
    );
    let without_negative = Parameters { negative: String::new(), ..parameters };
    assert!(without_negative.to_text().contains("hills\nSteps: 20"));
}

#[test]
fn a_text_of_a1111_is_read() {
    let text = "a cat\nin a hat\nNegative prompt: dog\nugly\nSteps: 30, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 5, \
                Size: 512x768, Model hash: 81761151, Lora hashes: \"a: 1, b: 2\", Version: v1.6.0";
    let parameters = Parameters::parse(text);
    assert_eq!(parameters.prompt, "a cat\nin a hat");
    assert_eq!(parameters.negative, "dog\nugly");
    let expected = [
        ("Steps", "30"),
        ("Sampler", "DPM++ 2M Karras"),
        ("CFG scale", "7"),
        ("Seed", "5"),
        ("Size-1", "512"),
        ("Size-2", "768"),
        ("Model hash", "81761151"),
        ("Lora hashes", "a: 1, b: 2"),
        ("Version", "v1.6.0"),
    ];
    assert_eq!(parameters.fields, fields(&expected));
    assert_eq!(parameters.get("Seed"), Some("5"));
}

#[test]
fn a_last_line_of_two_pairs_is_prompt() {
    let parameters = Parameters::parse("a cat\nSteps: 20, Seed: 5");
    assert_eq!(parameters.prompt, "a cat\nSteps: 20, Seed: 5");
    assert_eq!(parameters.fields, []);
}

#[test]
fn a_json_object_is_cut_at_its_first_comma() {
    // What Tiled Diffusion writes, and A1111 cannot read back.
    let pairs = pairs(r#"Steps: 20, Tiled Diffusion: {"Method": "MultiDiffusion", "Tile": 96}, Version: v1"#);
    let expected =
        [("Steps", "20"), ("Tiled Diffusion", r#"{"Method": "MultiDiffusion""#), ("Version", "v1")];
    assert_eq!(pairs, expected);
}

#[test]
fn pairs_are_those_of_the_regular_expression() {
    // Python: re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', line)
    let table: [(&str, &[(&str, &str)]); 12] = [
        ("a: 1, bc: 2", &[("bc", "2")]),
        (" - Key one:v", &[("Key one", "v")]),
        ("ab:\"x\" y, cd: 3", &[("ab", "\"x\" y"), ("cd", "3")]),
        ("ab: \"x, y\", cd:", &[("ab", "\"x, y\""), ("cd", "")]),
        ("ab: \"\", cd: \"\\\"\"", &[("ab", "\"\""), ("cd", "\"\\\"\"")]),
        ("ab: \"x\\\\\", cd: \"y", &[("ab", "\"x\\\\\""), ("cd", "\"y")]),
        ("ab:: c, d.ef: g", &[("ab", ": c"), ("ef", "g")]),
        ("ab: , cd: e", &[("ab", ""), ("cd", "e")]),
        ("größe/x-y: 1,,2: 3,45: 6", &[("größe/x-y", "1"), ("45", "6")]),
        ("no pairs at all", &[]),
        ("", &[]),
        ("ab: \"x, y, cd: z\"", &[("ab", "\"x, y, cd: z\"")]),
    ];
    for (line, expected) in table {
        assert_eq!(pairs(line), expected, "{line}");
    }
}

proptest! {
    #[test]
    fn what_is_written_comes_back(
        prompt in "[a-z(){}:,. ]{0,20}(\n[a-zé漢,]{1,9}){0,2}", negative in "([a-z,]{1,9}\n){0,2}[a-z]{0,9}",
        values in prop::collection::vec("[ -~é漢\n\t]{1,12}", 3..8),
    ) {
        let fields = values.iter().enumerate().map(|(i, value)| (format!("Key {i}"), value.clone()));
        let written = Parameters {
            prompt: prompt.trim().to_owned(),
            negative: negative.trim().to_owned(),
            fields: fields.filter(|(_, value)| size(value).is_none()).collect(),
        };
        prop_assume!(3 <= written.fields.len());
        let lines_trimmed = |text: &str| text.split('\n').map(str::trim).collect::<Vec<_>>().join("\n");
        let read = Parameters::parse(&written.to_text());
        prop_assert_eq!(read.prompt, lines_trimmed(&written.prompt));
        prop_assert_eq!(read.negative, lines_trimmed(&written.negative));
        prop_assert_eq!(read.fields, written.fields);
    }
}
