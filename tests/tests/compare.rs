//! `tessera compare`: real files in every format, their measures, and pictures that cannot be measured.

use std::{fs, path::Path, time::Duration};

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;
use tessera_tests::{
    picture,
    process::{Ended, Running},
    program,
    render::{Render, Rendered},
    report,
};

/// Runs `tessera compare` in a folder.
fn compare(folder: &Path, words: &[&str]) -> Ended {
    let mut command = program::command();
    command.current_dir(folder).arg("compare").args(words);
    Running::start(&mut command).wait(Duration::from_secs(60))
}

fn json(folder: &Path, words: &[&str]) -> Value {
    let ended = compare(folder, &[words, &["--json"]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    report::parse(&ended.stdout)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The sentence of a refusal.
fn refused(folder: &Path, words: &[&str]) -> String {
    let ended = compare(folder, words);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    ended.error().to_owned()
}

/// A folder with a scene in four formats, and the scene with one pixel two levels brighter in red.
fn pictures() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let scene = picture::scene(64, 48);
    let write = |name: &str, picture: &RgbImage, format| {
        fs::write(folder.path().join(name), picture::bytes(picture, format)).expect("a file");
    };
    write("a.png", &scene, ImageFormat::Png);
    write("a.tif", &scene, ImageFormat::Tiff);
    write("a.webp", &scene, ImageFormat::WebP);
    write("a.jpg", &scene, ImageFormat::Jpeg);
    write("small.png", &picture::scene(32, 48), ImageFormat::Png);
    let mut brighter = scene;
    brighter.get_pixel_mut(10, 10).0[0] += 2;
    write("b.png", &brighter, ImageFormat::Png);
    folder
}

#[test]
fn one_sample_of_many() {
    let folder = pictures();
    let found = json(folder.path(), &["a.png", "b.png"]);
    let (all, red) = (&found["comparison"]["all"], &found["comparison"]["red"]);
    assert_eq!(number(&all["max_abs"]), 2.0);
    // One of 64 * 48 red samples, two levels: 10 log10(255² * 3072 / 4)
    assert!((number(&red["psnr_db"]) - 76.984).abs() < 1e-3, "{found}");
    assert!((number(&red["mean_shift"]) - 2.0 / 3072.0).abs() < 1e-12, "{found}");
    assert!((number(&all["differing"]) - 1.0 / 9216.0).abs() < 1e-12, "{found}");
    assert!(found["comparison"]["blue"]["psnr_db"].is_null(), "{found}");
    let ended = compare(folder.path(), &["a.png", "b.png"]);
    let table: Vec<_> = ended.stdout.lines().map(str::split_whitespace).map(Vec::from_iter).collect();
    assert_eq!(table[4], ["samples", "psnr", "max", "abs", "rms", "shift", "differing"], "{ended:?}");
    assert_eq!(table[6], ["red", "76.98", "dB", "2.000", "0.036", "6.51e-4", "0.0326", "%"], "{ended:?}");
    assert_eq!(table[7], ["green", "equal", "0", "0", "0", "0.0000", "%"], "{ended:?}");
}

#[test]
fn formats_are_read_alike() {
    let folder = pictures();
    for (name, most) in [("a.tif", 0.0), ("a.webp", 0.0), ("a.jpg", 60.0)] {
        let found = json(folder.path(), &["a.png", name]);
        assert!(number(&found["comparison"]["all"]["max_abs"]) <= most, "{found}");
        assert_eq!(found["pictures"][1]["path"], name);
    }
}

/// Two passes' worth of tiles: 3 of 16 latent px on 32 a side, and 3 of 16 in the decode.
fn tiled() -> Rendered {
    Render::simulated("sim:0")
        .flags("--width 128 --height 128 --scale 2 --steps 1 --upscaler latent --tile 16 --overlap 6 --vae-tile 16")
        .rendered()
}

#[test]
fn the_metadata_of_a_render_says_where_its_tiles_lie() {
    let rendered = tiled();
    let picture = rendered.picture();
    let folder = picture.parent().expect("a picture lies in a folder");
    let found = json(folder, &[&picture.to_string_lossy(), "--seams"]);
    assert!(found["comparison"].is_null(), "{found}");
    let kinds: Vec<_> =
        found["seams"].as_array().expect("a list").iter().map(|seams| &seams["tiles"]).collect();
    assert_eq!(kinds, ["diffusion", "decode"], "{found}");
    // Tiles at 0, 8 and 16 of 32 have borders at 8, 16 and 24; the exact decode's cores only touch, at 16.
    for (seams, borders) in found["seams"].as_array().expect("a list").iter().zip([3, 1]) {
        assert_eq!((&seams["columns"], &seams["rows"]), (&borders.into(), &borders.into()), "{found}");
    }
    // A file without words of its own is measured by the other one's.
    let plain = picture::bytes(&picture::scene(256, 256), ImageFormat::Png);
    fs::write(folder.join("plain.png"), plain).expect("a file");
    let found = json(folder, &["plain.png", &picture.to_string_lossy(), "--seams"]);
    assert_eq!((&found["seams"][0]["picture"], &found["seams"][1]["tiles"]), (&"A".into(), &"decode".into()));
    let sentence = refused(folder, &["plain.png", "--seams"]);
    assert!(sentence.contains("plain.png") && sentence.contains("--tile"), "{sentence}");
}

#[test]
fn tiles_that_differ_show() {
    let folder = tempfile::tempdir().expect("a folder");
    let scene = picture::scene(256, 256);
    // Every other tile of 64 px is eight levels brighter.
    let brighter = |x: u32, y: u32| u8::from((x / 64 + y / 64) % 2 == 1) * 8;
    let checked = RgbImage::from_fn(256, 256, |x, y| {
        Rgb(scene.get_pixel(x, y).0.map(|level| level.saturating_add(brighter(x, y))))
    });
    for (name, picture) in [("plain.png", &scene), ("checked.png", &checked)] {
        fs::write(folder.path().join(name), picture::bytes(picture, ImageFormat::Png)).expect("a file");
    }
    let found = json(folder.path(), &["plain.png", "checked.png", "--seams", "--tile", "64"]);
    let [plain, checked] = [0, 1].map(|index| number(&found["seams"][index]["on_borders"]));
    assert_eq!(found["seams"][1]["tiles"], "given");
    assert!(plain + 20.0 < checked, "{found}");
    let ended = compare(folder.path(), &["checked.png", "--seams", "--tile", "64"]);
    let table: Vec<_> = ended.stdout.lines().map(str::split_whitespace).map(Vec::from_iter).collect();
    assert_eq!(table[3][..3], ["picture", "tiles", "borders"], "{ended:?}");
    assert_eq!(table[4][..3], ["A", "given", "3+3"], "{ended:?}");
}

#[test]
fn a_dump_is_the_picture_before_rounding() {
    let rendered =
        Render::simulated("sim:0").flags("--width 64 --height 64 --steps 1 --scale 1").dump().rendered();
    let picture = rendered.picture();
    let folder = picture.parent().expect("a picture lies in a folder");
    let dump = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|ending| ending == "safetensors"))
        .expect("a dump");
    let (picture, dump) = (picture.to_string_lossy(), dump.to_string_lossy());
    let found = json(folder, &[&picture, &dump]);
    assert_eq!((&found["pictures"][0]["bits"], &found["pictures"][1]["bits"]), (&8.into(), &32.into()));
    assert!(number(&found["comparison"]["all"]["max_abs"]) <= 0.5 + 1e-4, "{found}");
    assert_eq!(number(&found["comparison"]["all"]["differing"]), 0.0, "{found}");
    let same = compare(folder, &[&dump, &dump]);
    assert!(same.stdout.contains("before rounding, in -1 to 1: max abs 0.00e0"), "{same:?}");
}

#[test]
fn what_cannot_be_measured_is_said_in_a_sentence() {
    let folder = pictures();
    let path = folder.path();
    fs::write(path.join("text.png"), "no picture").expect("a file");
    assert_eq!(
        refused(path, &["a.png", "small.png"]),
        "the pictures are of different sizes, 64x48 and 32x48 px: compare pictures of one size"
    );
    assert_eq!(refused(path, &["a.png", "absent.png"]), "cannot read absent.png: there is no such file");
    assert_eq!(refused(path, &["a.png", "."]), "cannot read .: it is a folder");
    assert!(
        refused(path, &["text.png", "a.png"]).starts_with("cannot read text.png: the file is not an image")
    );
    assert_eq!(
        refused(path, &["a.png", "--seams", "--tile", "64"]),
        "cannot measure seams of a.png: tiles of 64 px have no borders on it: take another --tile"
    );
    let alone = compare(path, &["a.png"]);
    assert_eq!(alone.code, Some(2), "{alone:?}");
}
