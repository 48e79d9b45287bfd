//! How far a long reading is, on standard error where that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of the bytes of a file, with the time that is left.
#[derive(Debug)]
pub(crate) struct FileBar {
    bar: ProgressBar,
    stage: &'static str,
}

impl FileBar {
    /// For so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta} left");
        let bar = ProgressBar::new(bytes);
        Self { bar: if let Ok(style) = style { bar.with_style(style) } else { bar }, stage: "" }
    }

    /// Moves it; a new stage begins at the front.
    pub(crate) fn at(&mut self, stage: &'static str, bytes: u64) {
        if self.stage != stage {
            self.stage = stage;
            self.bar.reset();
            self.bar.set_message(stage);
        }
        self.bar.set_position(bytes);
    }

    /// Takes it away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
