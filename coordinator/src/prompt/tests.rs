//! Expected values are those of A1111's own parser (1.6 and later) on the same prompts, unless a test says why not.

use proptest::prelude::*;
use tessera_proto::Segment;

use super::*;

/// The raw texts of each call, the segments of one joined by `~` with their weights.
fn calls(prompt: &str, timeline: Timeline) -> Vec<String> {
    let mut texts = Texts::default();
    let conditioning = Prompt::positive(prompt).unwrap().conditioning(timeline, &mut texts).unwrap();
    let part = |(text, weight): (usize, f32)| {
        let text: Vec<String> = texts.list()[text].iter().map(show).collect();
        if weight == 1.0 { text.join("~") } else { format!("{weight}*{}", text.join("~")) }
    };
    let call = |call| conditioning.at(call).map(part).collect::<Vec<_>>().join(" AND");
    (0..timeline.calls()).map(call).collect()
}

fn show(segment: &Segment) -> String {
    match segment {
        Segment::Break => "BREAK".to_owned(),
        Segment::Text { text, weight } if *weight == 1.0 => text.clone(),
        Segment::Text { text, weight } => format!("{text}@{weight:.4}"),
    }
}

/// The texts of a pass with the number of calls in a row that each holds for.
fn runs(prompt: &str, timeline: Timeline) -> Vec<(String, usize)> {
    let mut runs: Vec<(String, usize)> = Vec::new();
    for text in calls(prompt, timeline) {
        match runs.last_mut() {
            Some((last, count)) if *last == text => *count += 1,
            _ => runs.push((text, 1)),
        }
    }
    runs
}

fn one(prompt: &str) -> String {
    let mut runs = runs(prompt, Timeline::base(10));
    assert_eq!(runs.len(), 1, "{prompt} changes: {runs:?}");
    runs.remove(0).0
}

fn refusal(prompt: &str, calls: u32) -> Error {
    let conditioning = |prompt: Prompt| prompt.conditioning(Timeline::base(calls), &mut Texts::default());
    Prompt::positive(prompt).and_then(conditioning).unwrap_err()
}

#[test]
fn emphasis_multiplies_and_equal_neighbours_join() {
    assert_eq!(one("an (important) word"), "an ~important@1.1000~ word");
    assert_eq!(one("(both)(same)"), "bothsame@1.1000");
    assert_eq!(one("(open"), "open@1.1000");
    assert_eq!(one("[low (high:2)]"), "low @0.9091~high@1.8182");
    assert_eq!(one(r"\(text\] \[too\) \\ a\b"), r"(text] [too) \ ab");
    assert_eq!(
        one("a (((house:1.3)) [on] a (hill:0.5), sun, (((sky)))."),
        "a ~house@1.5730~ @1.1000~on~ a @1.1000~hill@0.5500~, sun, @1.1000~sky@1.4641~.@1.1000"
    );
}

#[test]
fn brackets_and_colons_out_of_place_are_text() {
    assert_eq!(one("a) b] c:1.2) d"), "a) b] c:1.2) d");
    assert_eq!(one("(a : 1.2 ) 16:9 x"), "a @1.2000~ 16:9 x");
    assert_eq!(one("(a:b)"), "a:b@1.1000");
    assert_eq!(one(""), "");
    assert_eq!(one("()"), "");
}

#[test]
fn break_is_a_mark_also_inside_brackets() {
    assert_eq!(one("a BREAK b"), "a~BREAK~b");
    assert_eq!(one("BREAKING a BREAK BREAK\n, b"), "BREAKING a~BREAK~BREAK~, b");
    // A1111 multiplies the mark by 1.1 as well, no longer knows it, and embeds the word "break".
    assert_eq!(one("(a BREAK b)"), "a@1.1000~BREAK~b@1.1000");
}

#[test]
fn a_schedule_that_ends_at_step_k_covers_one_call_more() {
    let base = Timeline::base(10);
    assert_eq!(runs("a [b:c:3] d", base), [("a b d".into(), 4), ("a c d".into(), 6)]);
    assert_eq!(runs("a [b:3]", base), [("a ".into(), 4), ("a b".into(), 6)]);
    assert_eq!(runs("a [b::.5]", base), [("a b".into(), 6), ("a ".into(), 4)]);
    assert_eq!(runs("[a:[b:c:2]:1]e", base), [("ae".into(), 2), ("be".into(), 1), ("ce".into(), 7)]);
    assert_eq!(runs("[(a:2): 3 ]", base), [("".into(), 4), ("a@2.0000".into(), 6)]);
    assert_eq!(one("[b:0]"), "b");
    assert_eq!(one("[b:-1]"), "b");
    assert_eq!(one("[a:b:1e2]"), "a");
}

#[test]
fn alternation_takes_turns_and_the_first_option_holds_one_call_more() {
    let base = Timeline::base(6);
    assert_eq!(calls("[a|b|c]", base), ["a", "a", "b", "c", "a", "b"]);
    assert_eq!(calls("[fe|]male", base), ["female", "female", "male", "female", "male", "female"]);
    assert_eq!(calls("[[a|b]|c]", base), ["a", "a", "c", "a", "c", "a"]);
}

#[test]
fn what_does_not_parse_is_literal() {
    assert_eq!(one("a | b [c:3]"), "a | b ~c:3@0.9091");
    assert_eq!(one("[a|b:c:3]"), "a|b:c:3@0.9091");
    assert_eq!(one("[c:3] \\"), "c:3@0.9091~ ");
    assert_eq!(one("[a:b:c:3]"), "a:b:c:3@0.9091");
    assert_eq!(one("[a:inf]"), "a:inf@0.9091");
    // Brackets that do not pair up are text, the schedules between them still hold.
    assert_eq!(runs("((a][:b:c [d:3]", Timeline::base(10)).len(), 2);
}

#[test]
fn the_hires_pass_continues_the_clock() {
    let hires = Timeline::hires(20, 10);
    assert_eq!(runs("[b:.5]", hires), [("b".into(), 10)]);
    assert_eq!(runs("[a:b:1.5]", hires), [("a".into(), 6), ("b".into(), 4)]);
    assert_eq!(runs("[a:b:23]", hires), [("a".into(), 4), ("b".into(), 6)]);
    assert_eq!(runs("[a:b:20]", hires), [("b".into(), 10)]);
    // Two model calls a step: the clock counts calls, fractions stay fractions.
    assert_eq!(runs("[a:b:1.5]", Timeline::hires(40, 20)), [("a".into(), 11), ("b".into(), 9)]);
}

#[test]
fn parts_keep_their_own_schedule_and_share_texts() {
    let mut texts = Texts::default();
    let prompt = Prompt::positive("[a:b:2] AND a:0.5 AND b:-1").unwrap();
    let conditioning = prompt.conditioning(Timeline::base(5), &mut texts).unwrap();
    assert_eq!(conditioning.parts(), 3);
    // " a" behind AND is another text than "a": A1111 compares them as they are.
    assert_eq!(texts.list().len(), 4);
    assert_eq!(conditioning.at(0).collect::<Vec<_>>(), [(0, 1.0), (2, 0.5), (3, -1.0)]);
    assert_eq!(conditioning.at(3).collect::<Vec<_>>(), [(1, 1.0), (2, 0.5), (3, -1.0)]);
    assert_eq!(conditioning.at(99).next(), Some((1, 1.0)));

    let hires = prompt.conditioning(Timeline::hires(5, 5), &mut texts).unwrap();
    assert_eq!((texts.list().len(), hires.at(0).next()), (4, Some((1, 1.0))));
}

#[test]
fn a_negative_prompt_is_one_part() {
    let mut texts = Texts::default();
    let negative = Prompt::negative("bad AND worse:2").unwrap();
    let conditioning = negative.conditioning(Timeline::base(3), &mut texts).unwrap();
    assert_eq!(conditioning.at(0).collect::<Vec<_>>(), [(0, 1.0)]);
    assert_eq!(texts.into_list(), [[Segment::Text { text: "bad AND worse:2".into(), weight: 1.0 }]]);
}

#[test]
fn hostile_prompts_are_refused_with_the_limit() {
    assert_eq!(
        refusal(&"a".repeat(70_000), 1).to_string(),
        "prompt has 70000 bytes, at most 65536 are allowed"
    );
    assert_eq!(refusal(&"(".repeat(100), 1), Error::Depth);
    assert_eq!(refusal(&"[a:".repeat(100), 1), Error::Depth);
    assert_eq!(refusal("(a:1.2.3)", 1).to_string(), r#"prompt weight "1.2.3" is not a number"#);
    assert_eq!(refusal("((a:200):200)", 1), Error::Weight { weight: 40_000.0 });
    // Alternations whose lengths share no factor pass through their product of texts.
    assert_eq!(refusal("[a|b|c][d|e|f|g|h][i|j|k|l|m|n|o][p|q|r|s]", 1000), Error::Texts);
    let long = format!("[a|b|c|d|e]{}[f|g|h|i]", "x ".repeat(32_000));
    assert!(matches!(refusal(&long, 1000), Error::TextBytes { bytes: 1_000_000.. }));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(prompt in r"[ab ,é:|\\()\[\]0-9.<>]{0,60}( AND | BREAK )?[ab:\[\]|()]{0,20}", base in 0_u32..50, steps in 0_u32..50) {
        let mut texts = Texts::default();
        let Ok(parsed) = Prompt::positive(&prompt) else { return Ok(()) };
        for timeline in [Timeline::base(base), Timeline::hires(base, steps)] {
            let Ok(conditioning) = parsed.conditioning(timeline, &mut texts) else { continue };
            for call in 0..timeline.calls() {
                prop_assert!(conditioning.at(call).all(|(text, _)| text < texts.list().len()));
            }
        }
    }

    #[test]
    fn text_without_marks_is_left_alone(prompt in "[a-z ,.]{1,80}", calls in 1_u32..30) {
        let mut texts = Texts::default();
        Prompt::negative(&prompt).unwrap().conditioning(Timeline::base(calls), &mut texts).unwrap();
        prop_assert_eq!(texts.into_list(), vec![vec![Segment::Text { text: prompt, weight: 1.0 }]]);
    }
}
