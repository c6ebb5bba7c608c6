use serde_json::json;

use super::*;

const SIZE: (u32, u32) = (512, 512);

fn texts(parameters: &str, json: &Value) -> Texts {
    let parameters = (!parameters.is_empty()).then(|| parameters.to_owned());
    Texts { parameters, tessera: (!json.is_null()).then(|| json.to_string()) }
}

fn stage(stage: &str, network: &str, tile: u32, tiles: u32) -> Value {
    json!({
        "stage": stage, "network": network, "canvas": {"width": 64, "height": 64},
        "tile": {"width": tile, "height": tile}, "tiles": tiles
    })
}

/// What the demo's picture says, and a decode in tiles of 32 latent px.
fn picture() -> Value {
    json!({
        "job": {"overlap": 6, "tile": {"width": 24, "height": 24}, "tile_grid": "spread"},
        "plan": {"stages": [
            stage("base", "unet", 16, 1), stage("upscale", "vae decoder", 16, 1),
            stage("hires", "unet", 24, 16), stage("decode", "vae decoder", 32, 9)
        ]}
    })
}

#[test]
fn both_grids_are_found_in_the_json() {
    let found = Borders::of_texts(&texts("", &picture()), SIZE);
    let [(Tiles::Diffusion, diffusion), (Tiles::Decode, decode)] = found.as_slice() else {
        panic!("{found:?}");
    };
    // 4 tiles of 24 on 64: at 0, 13, 26, 40, which end at 24, 37, 50, 64; times 8.
    assert_eq!(diffusion.columns(), [104, 192, 208, 296, 320, 400]);
    assert_eq!(diffusion.rows(), diffusion.columns());
    // 3 tiles of 32 with an overlap of 8: at 0, 16, 32.
    assert_eq!(decode.columns(), [128, 256, 384]);
}

#[test]
fn a_stage_may_name_its_borders_itself() {
    let mut json = picture();
    json["plan"]["stages"][3]["borders"] = json!({"columns": [512, 200, 8, 200], "rows": [0]});
    let found = Borders::of_texts(&texts("", &json), SIZE);
    assert_eq!(found[1], (Tiles::Decode, Borders { columns: vec![8, 200], rows: Vec::new() }));
}

#[test]
fn what_does_not_add_up_and_single_tiles_are_left_out() {
    let mut json = picture();
    json["plan"]["stages"][2]["tiles"] = json!(17);
    json["plan"]["stages"][3] = stage("decode", "vae decoder", 64, 1);
    assert_eq!(Borders::of_texts(&texts("", &json), SIZE), []);
    assert_eq!(Borders::of_texts(&Texts::default(), SIZE), []);
    assert_eq!(Borders::of_texts(&texts("a prompt", &json!([])), SIZE), []);
    json["plan"]["stages"][2] = json!({"network": "unet", "canvas": {"width": 0, "height": 0}, "tile": 7});
    assert_eq!(Borders::of_texts(&texts("", &json), SIZE), []);
}

#[test]
fn the_text_alone_will_do() {
    let text = "a house\nSteps: 20, Sampler: Euler, Tile size: 24x24, Tile overlap: 6, Tile count: 16, VAE mode: Exact, \
                VAE tile size: 24x32, VAE tile overlap: 0";
    let found = Borders::of_texts(&texts(text, &Value::Null), SIZE);
    assert_eq!(found[0].1.columns(), [104, 192, 208, 296, 320, 400]);
    assert_eq!(found[1].0, Tiles::Decode);
    // 64 in cores of at most 24: 0, 22, 43; of at most 32: 0, 32.
    assert_eq!((found[1].1.columns(), found[1].1.rows()), ([176, 344].as_slice(), [256].as_slice()));
    let stride = text.replace("Tile count: 16", "Tile grid: Stride");
    let found = Borders::of_texts(&texts(&stride, &Value::Null), SIZE);
    // At 0, 18, 36 and flush at 40; they end at 24, 42, 60, 64.
    assert_eq!(found[0].1.columns(), [144, 192, 288, 320, 336, 480]);
}

#[test]
fn tiles_of_a_given_side_touch() {
    let borders = Borders::every(100, 250, 100);
    assert_eq!((borders.columns(), borders.rows()), ([100, 200].as_slice(), [].as_slice()));
    assert_eq!(Borders::every(0, 3, 1).columns(), [1, 2]);
}
