//! Comparing two pictures, pixel by pixel.

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageFormat, Limits, Rgba, RgbaImage};
use serde::{Deserialize, Serialize};

/// The most bytes that a picture's file may have.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// The most pixels that a picture may have: a page of 1600 by 20000.
const MAX_PIXELS: u64 = 32_000_000;

/// The first bytes of every PNG file, up to the fields of its header.
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";

/// What a pixel that differs is painted with.
const CHANGED: Rgba<u8> = Rgba([255, 0, 0, 255]);

/// Unchanged pixels show through by one part in this many, so that a person sees where they look.
const FAINT: u8 = 5;

/// A picture that can be compared.
pub struct Picture(RgbaImage);

/// Why a file is no such picture, to follow its name.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself")]
pub enum Unfit {
    #[error("is no PNG file")]
    NoPng,
    #[error("has {width} x {height} pixels; up to {MAX_PIXELS} can be compared")]
    TooManyPixels { width: u32, height: u32 },
    #[error("has {0} bits a channel; pictures with 8 can be compared")]
    Depth(u8),
    #[error("is grey or has a palette; RGB and RGBA pictures can be compared")]
    Colours,
    #[error("is interlaced; save it without")]
    Interlaced,
    #[error("is damaged: {0}")]
    Damaged(#[from] image::ImageError),
}

impl Picture {
    /// Reads a PNG file: 8 bits a channel, RGB or RGBA, not interlaced.
    ///
    /// # Errors
    /// When it is anything else, is damaged, or is too large.
    pub fn decode(png: &[u8]) -> Result<Self, Unfit> {
        check_header(png)?;
        let mut limits = Limits::default();
        limits.max_alloc = Some(MAX_PIXELS * 8);
        let decoder = PngDecoder::with_limits(Cursor::new(png), limits)?;
        Ok(Self(DynamicImage::from_decoder(decoder)?.into_rgba8()))
    }

    /// Width and height, as people write them.
    pub fn viewport(&self) -> String {
        format!("{}x{}", self.0.width(), self.0.height())
    }
}

/// Refuses from the header alone what would be costly to decode, or not compared as it is meant.
fn check_header(png: &[u8]) -> Result<(), Unfit> {
    let fields = png.strip_prefix(SIGNATURE).and_then(|fields| fields.first_chunk::<13>());
    let Some(&[w0, w1, w2, w3, h0, h1, h2, h3, depth, colours, _, _, interlaced]) = fields else {
        return Err(Unfit::NoPng);
    };
    let (width, height) = (u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]));
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Unfit::TooManyPixels { width, height });
    }
    match (colours, depth, interlaced) {
        (2 | 6, 8, 0) => Ok(()),
        (2 | 6, 8, _) => Err(Unfit::Interlaced),
        (2 | 6, depth, _) => Err(Unfit::Depth(depth)),
        _ => Err(Unfit::Colours),
    }
}

/// How two pictures of the same size differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VisualDiff {
    /// Width and height of both.
    pub viewport: String,
    /// The pixels of each.
    pub total_pixels: u64,
    /// The pixels that differ, in colour or in opacity.
    pub changed_pixels: u64,
    /// The smallest rectangle with all of them.
    pub changed_area: Option<Area>,
}

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the usual four")]
pub struct Area {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl VisualDiff {
    /// Changed pixels by all pixels.
    pub fn score(&self) -> f64 {
        self.changed_pixels as f64 / self.total_pixels as f64
    }
}

/// Compares two pictures; `None` when their sizes differ.
pub fn compare(reference: &Picture, candidate: &Picture) -> Option<VisualDiff> {
    let (width, height) = reference.0.dimensions();
    if candidate.0.dimensions() != (width, height) {
        return None;
    }
    let pixels = reference.0.enumerate_pixels().zip(candidate.0.pixels());
    let changed = pixels.filter(|((_, _, before), after)| before != after).map(|((x, y, _), _)| (x, y));
    let (mut changed_pixels, mut bounds) = (0, None);
    for (x, y) in changed {
        changed_pixels += 1;
        let (left, top, right, bottom) = bounds.unwrap_or((x, y, x, y));
        bounds = Some((left.min(x), top.min(y), right.max(x), bottom.max(y)));
    }
    Some(VisualDiff {
        viewport: reference.viewport(),
        total_pixels: u64::from(width) * u64::from(height),
        changed_pixels,
        changed_area: bounds.map(|(left, top, right, bottom)| Area {
            x: left,
            y: top,
            width: right - left + 1,
            height: bottom - top + 1,
        }),
    })
}

/// A PNG file that shows the pixels that differ in red, upon a faint grey shade of the reference.
///
/// # Errors
/// When it cannot be encoded.
pub fn draw(reference: &Picture, candidate: &Picture) -> Result<Vec<u8>, image::ImageError> {
    let (width, height) = reference.0.dimensions();
    let drawing = RgbaImage::from_fn(width, height, |x, y| {
        let before = reference.0.get_pixel(x, y);
        if candidate.0.get_pixel_checked(x, y) == Some(before) { faint(*before) } else { CHANGED }
    });
    let mut png = Vec::new();
    drawing.write_to(&mut Cursor::new(&mut png), ImageFormat::Png)?;
    Ok(png)
}

fn faint(Rgba([red, green, blue, alpha]): Rgba<u8>) -> Rgba<u8> {
    let grey = ((u16::from(red) + u16::from(green) + u16::from(blue)) / 3) as u8;
    Rgba([grey, grey, grey, alpha / FAINT])
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, RgbImage};

    fn png(picture: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = Vec::new();
        picture.into().write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        bytes
    }

    fn picture(width: u32, height: u32, changed: &[(u32, u32, [u8; 4])]) -> Picture {
        let mut pixels = RgbaImage::from_pixel(width, height, Rgba([10, 20, 30, 255]));
        changed.iter().for_each(|(x, y, colour)| pixels.put_pixel(*x, *y, Rgba(*colour)));
        Picture::decode(&png(pixels)).unwrap()
    }

    #[test]
    fn every_pixel_that_differs_counts_also_by_its_opacity() {
        fn check(changed: &[(u32, u32, [u8; 4])], expect: u64, area: Option<[u32; 4]>) {
            let diff = compare(&picture(4, 3, &[]), &picture(4, 3, changed)).unwrap();
            assert_eq!((diff.changed_pixels, diff.total_pixels, &*diff.viewport), (expect, 12, "4x3"));
            assert_eq!(diff.score(), expect as f64 / 12.0);
            assert_eq!(diff.changed_area.map(|area| [area.x, area.y, area.width, area.height]), area);
        }
        check(&[], 0, None);
        check(&[(1, 1, [11, 20, 30, 255])], 1, Some([1, 1, 1, 1]));
        check(&[(1, 1, [10, 20, 30, 254])], 1, Some([1, 1, 1, 1]));
        check(&[(3, 0, [0, 0, 0, 0]), (1, 2, [0, 0, 0, 0])], 2, Some([1, 0, 3, 3]));
    }

    #[test]
    fn a_picture_without_opacity_equals_the_same_one_that_is_opaque() {
        let rgb = Picture::decode(&png(RgbImage::from_pixel(4, 3, image::Rgb([10, 20, 30])))).unwrap();
        assert_eq!(compare(&rgb, &picture(4, 3, &[])).unwrap().changed_pixels, 0);
    }

    #[test]
    fn pictures_of_different_sizes_are_not_compared() {
        assert_eq!(compare(&picture(4, 3, &[]), &picture(3, 4, &[])), None);
        assert_eq!(compare(&picture(4, 3, &[]), &picture(4, 2, &[])), None);
    }

    #[test]
    fn the_drawing_shows_what_differs_in_red_and_where_it_is() {
        let drawing = draw(&picture(2, 1, &[]), &picture(2, 1, &[(1, 0, [0, 0, 0, 255])])).unwrap();
        let drawn = Picture::decode(&drawing).unwrap().0;
        assert_eq!((drawn.get_pixel(0, 0), drawn.get_pixel(1, 0)), (&Rgba([20, 20, 20, 51]), &CHANGED));
    }

    #[test]
    fn what_cannot_be_compared_is_refused_with_its_reason() {
        fn check(bytes: &[u8], expect: &str) {
            let refused = Picture::decode(bytes).err().map(|unfit| unfit.to_string()).unwrap_or_default();
            assert!(refused.contains(expect), "{refused:?}, not {expect:?}");
        }
        let good = png(RgbaImage::new(4, 4));
        let with = |offset: usize, bytes: &[u8]| {
            let mut changed = good.clone();
            changed[offset..offset + bytes.len()].copy_from_slice(bytes);
            changed
        };
        check(b"not a png", "no PNG");
        check(&[], "no PNG");
        check(&good[..20], "no PNG");
        check(&good[..good.len() - 20], "damaged");
        check(&with(40, b"????"), "damaged");
        check(&png(GrayImage::new(4, 4)), "grey");
        check(
            &png(DynamicImage::ImageRgba16(Default::default()).resize_exact(2, 2, image::imageops::Nearest)),
            "16 bits",
        );
        check(&with(28, &[1]), "interlaced");
        check(&with(16, &[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]), "can be compared");
        check(&with(16, &[0, 0, 0, 0]), "damaged");
    }
}
