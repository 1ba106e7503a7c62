//! The scenarios: what a runner and the gateway are to be able to do together.

mod demo;
mod learn;
mod load;
mod process;
mod response;
mod rewrite;
mod several;
mod stop;
mod trouble;

use crate::program::{Plugins, Program};
use crate::stage::{Mode, Stage};

/// One thing to see with every runner. It fails by a panic.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    /// Its name on the command line and in the exclusions.
    pub(crate) name: &'static str,
    play: Play,
    /// The mode it needs, if it makes no sense in the other.
    mode: Option<Mode>,
    /// The plugins it needs, if not every runner has them.
    plugins: Option<Plugins>,
}

#[derive(Clone, Copy)]
enum Play {
    /// On a stage that many scenarios share, one after the other.
    Shared(fn(&Stage<'_>)),
    /// On a stage of its own.
    Own(fn(&Program, Mode)),
}

impl Scenario {
    const fn shared(name: &'static str, play: fn(&Stage<'_>)) -> Self {
        Self::new(name, Play::Shared(play))
    }

    const fn own(name: &'static str, play: fn(&Program, Mode)) -> Self {
        Self::new(name, Play::Own(play))
    }

    const fn new(name: &'static str, play: Play) -> Self {
        Self {
            name,
            play,
            mode: None,
            plugins: None,
        }
    }

    const fn only(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    const fn with(mut self, plugins: Plugins) -> Self {
        self.plugins = Some(plugins);
        self
    }

    /// Whether it makes sense for this runner in this mode.
    pub(crate) fn fits(&self, program: &Program, mode: Mode) -> bool {
        self.mode.is_none_or(|only| only == mode)
            && self.plugins.is_none_or(|only| only == program.plugins)
    }

    /// Plays it. `shared` is the stage that scenarios share, put up when it is
    /// needed.
    ///
    /// # Panics
    /// If it does not go as it should.
    pub(crate) fn play<'a>(
        &self,
        program: &'a Program,
        mode: Mode,
        shared: &mut Option<Stage<'a>>,
    ) {
        match self.play {
            Play::Shared(play) => play(shared.get_or_insert_with(|| Stage::new(program, mode))),
            Play::Own(play) => {
                // One runner at a time: two would only make each other slow.
                *shared = None;
                play(program, mode);
            }
        }
    }
}

/// All scenarios, in the order they are played.
pub(crate) fn all() -> Vec<Scenario> {
    [
        stop::SCENARIOS,
        rewrite::SCENARIOS,
        response::SCENARIOS,
        learn::SCENARIOS,
        several::SCENARIOS,
        demo::SCENARIOS,
        trouble::SCENARIOS,
        process::SCENARIOS,
        load::SCENARIOS,
    ]
    .into_iter()
    .flatten()
    .copied()
    .collect()
}
