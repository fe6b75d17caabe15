//! The only tmux argument lists and tmux process spawning.
