//! A picture for comparisons: a bar of one colour on a ground of another.

use std::path::Path;

use image::{Rgb, RgbImage};

use crate::domain::Failure;

/// Width and height, in pixels.
pub(super) const SIZE: (u32, u32) = (320, 200);

const GROUND: [u8; 3] = [0xf4, 0xf1, 0xe8];
const BAR: [u8; 3] = [0x2a, 0x5d, 0x8f];

/// The height of the bar at the top.
const BAR_HEIGHT: u32 = 48;

/// The corner that is drawn wrong, when one is: 8 by 8 of 320 by 200 pixels.
const FLAW: u32 = 8;

/// Writes it as a PNG, with a flawed corner when asked for.
///
/// # Errors
/// When it cannot be written.
pub(super) fn draw(path: &Path, flawed: bool) -> Result<(), Failure> {
    let (width, height) = SIZE;
    let colour = |x: u32, y: u32| {
        if flawed && x < FLAW && y < FLAW {
            Rgb([0, 0, 0])
        } else if y < BAR_HEIGHT {
            Rgb(BAR)
        } else {
            Rgb(GROUND)
        }
    };
    RgbImage::from_fn(width, height, colour)
        .save(path)
        .map_err(|error| Failure::external(format!("failed to write {}: {error}", path.display())))
}

/// The same as a page.
pub(super) fn html() -> String {
    let css = |[red, green, blue]: [u8; 3]| format!("rgb({red}, {green}, {blue})");
    let (ground, bar) = (css(GROUND), css(BAR));
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Candidate</title>\n<style>\n\
         html, body {{ margin: 0; height: 100%; overflow: hidden; background: {ground}; }}\n\
         header {{ height: {BAR_HEIGHT}px; background: {bar}; }}\n</style>\n<header></header>\n"
    )
}
