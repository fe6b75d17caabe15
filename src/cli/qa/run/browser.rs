//! A page as a browser draws it: headless Chromium, over the DevTools protocol.

use std::path::Path;
use std::time::Duration;

use chromiumoxide::browser::{Browser, BrowserConfig};
use chromiumoxide::cdp::browser_protocol::page::CaptureScreenshotFormat;
use chromiumoxide::detection::{DetectionOptions, default_executable};
use chromiumoxide::error::CdpError;
use chromiumoxide::handler::viewport::Viewport;
use chromiumoxide::page::ScreenshotParams;
use futures_util::StreamExt;

use super::picture::SIZE;
use crate::domain::Failure;

/// How long the browser may take to start, and to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What keeps a browser from doing anything but drawing, and colours as they are.
const QUIET: [&str; 7] = [
    "disable-gpu",
    "disable-quic",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "hide-scrollbars",
    "force-color-profile=srgb",
];

/// Draws a file and saves what is seen as a PNG; gives the browser's own name and version.
///
/// # Errors
/// When there is no browser, with how to install one, or when it does not do as it is told.
pub(super) fn screenshot(page: &Path, picture: &Path, profile: &Path) -> Result<String, Failure> {
    let program = default_executable(DetectionOptions::default()).map_err(|_| missing())?;
    let (width, height) = SIZE;
    let viewport = Viewport { width, height, device_scale_factor: Some(1.0), ..Viewport::default() };
    let config = BrowserConfig::builder()
        .chrome_executable(&program)
        .new_headless_mode()
        .window_size(width, height)
        .viewport(viewport)
        .user_data_dir(profile)
        .launch_timeout(PATIENCE)
        .request_timeout(PATIENCE)
        .args(QUIET);
    // Chromium refuses to sandbox itself as root.
    let config = if rustix::process::geteuid().is_root() { config.no_sandbox() } else { config };
    let failed = |error: String| {
        Failure::external(format!("{} drew no picture of {}: {error}", program.display(), page.display()))
            .hint("see whether it starts by hand; name another one with CHROME=PATH")
    };
    let config = config.build().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(error.to_string()))?;
    let drawn = runtime.block_on(draw(config, &format!("file://{}", page.display()), picture));
    drawn.map_err(|error| failed(error.to_string()))
}

async fn draw(config: BrowserConfig, address: &str, picture: &Path) -> Result<String, CdpError> {
    let (mut browser, mut events) = Browser::launch(config).await?;
    // Answers arrive only while somebody takes the events.
    let handler = tokio::spawn(async move { while events.next().await.is_some() {} });
    let drawn = take(&browser, address, picture).await;
    let closed = browser.close().await;
    browser.wait().await?;
    handler.abort();
    closed?;
    drawn
}

async fn take(browser: &Browser, address: &str, picture: &Path) -> Result<String, CdpError> {
    let page = browser.new_page(address).await?;
    page.wait_for_navigation().await?;
    let params = ScreenshotParams::builder().format(CaptureScreenshotFormat::Png).build();
    page.save_screenshot(params, picture).await?;
    Ok(browser.version().await?.product)
}

fn missing() -> Failure {
    Failure::external("no Chromium was found for the browser-backed harness")
        .hint("install it: `apt-get install chromium` on Debian and Ubuntu, `brew install --cask chromium` on macOS")
        .hint("or name one that is installed elsewhere with CHROME=PATH")
}
