//! The text that Prometheus reads (exposition format 0.0.4).
//!
//! Written here rather than by a client library: the library for Rust that
//! writes no globals ends every counter's name in `_total`, which APISIX's do
//! not, and takes a lock for every observation of a histogram.

use std::fmt::{Display, Write as _};

use super::cells::{Bounds, Distribution};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A text in the making.
#[derive(Debug, Default)]
pub(crate) struct Text(String);

/// Labels of a series, written out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Labels(String);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric: its name, and what a person should know about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
}

impl Family {
    pub(crate) const fn counter(name: &'static str, help: &'static str) -> Self {
        let kind = Kind::Counter;
        Family { name, kind, help }
    }

    pub(crate) const fn gauge(name: &'static str, help: &'static str) -> Self {
        let kind = Kind::Gauge;
        Family { name, kind, help }
    }

    pub(crate) const fn histogram(name: &'static str, help: &'static str) -> Self {
        let kind = Kind::Histogram;
        Family { name, kind, help }
    }
}

impl Labels {
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// These labels and one more.
    pub(crate) fn with(&self, name: &str, value: impl Display) -> Self {
        let mut labels = self.clone();
        if !labels.0.is_empty() {
            labels.0.push(',');
        }
        let text = value.to_string();
        let _ = write!(labels.0, "{name}=\"");
        for c in text.chars() {
            match c {
                '\\' => labels.0.push_str("\\\\"),
                '"' => labels.0.push_str("\\\""),
                '\n' => labels.0.push_str("\\n"),
                c => labels.0.push(c),
            }
        }
        labels.0.push('"');
        labels
    }
}

impl Labels {
    /// These labels and those.
    pub(crate) fn and(mut self, more: &Labels) -> Self {
        if !self.0.is_empty() && !more.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&more.0);
        self
    }
}

impl Text {
    pub(crate) fn into_string(self) -> String {
        self.0
    }

    /// Writes a metric of these series; nothing where there are none.
    pub(crate) fn family<V: Display>(
        &mut self,
        family: Family,
        series: impl IntoIterator<Item = (Labels, V)>,
    ) {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return;
        }
        self.head(family);
        for (labels, value) in series {
            self.sample(family.name, "", &labels, value);
        }
    }

    /// Writes a metric of one series.
    pub(crate) fn single(&mut self, family: Family, value: impl Display) {
        self.family(family, [(Labels::none(), value)]);
    }

    /// Writes a histogram of these series; nothing where there are none.
    pub(crate) fn histograms<'a>(
        &mut self,
        family: Family,
        bounds: &Bounds,
        series: impl IntoIterator<Item = (&'a Labels, &'a Distribution)>,
    ) {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return;
        }
        self.head(family);
        for (labels, distribution) in series {
            self.histogram(family.name, bounds, labels, distribution);
        }
    }

    fn histogram(
        &mut self,
        name: &str,
        bounds: &Bounds,
        labels: &Labels,
        distribution: &Distribution,
    ) {
        let unit = bounds.unit.as_secs_f64();
        let mut below = 0;
        for (upper, count) in bounds.upper.iter().zip(&distribution.buckets) {
            below += count;
            let labels = labels.with("le", upper.as_secs_f64() / unit);
            self.sample(name, "_bucket", &labels, below);
        }
        let count = distribution.count();
        self.sample(name, "_bucket", &labels.with("le", "+Inf"), count);
        let sum = distribution.sum.as_secs_f64() / unit;
        self.sample(name, "_sum", labels, sum);
        self.sample(name, "_count", labels, count);
    }

    fn head(&mut self, family: Family) {
        let Family { name, kind, help } = family;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &Labels, value: impl Display) {
        let _ = if labels.0.is_empty() {
            writeln!(self.0, "{name}{suffix} {value}")
        } else {
            writeln!(self.0, "{name}{suffix}{{{}}} {value}", labels.0)
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::cells::Histogram;

    #[test]
    fn names_and_values_are_as_prometheus_reads_them() {
        let mut text = Text::default();
        let labels = Labels::none().with("route", "a\"b\\c\nd").with("code", 200);
        text.family(Family::counter("hits_total", "Hits."), [(labels, 3)]);
        text.single(Family::gauge("open", "Open."), -1);
        text.family::<u8>(Family::gauge("empty", "Nothing."), []);
        assert_eq!(
            text.into_string(),
            "# HELP hits_total Hits.\n# TYPE hits_total counter\n\
             hits_total{route=\"a\\\"b\\\\c\\nd\",code=\"200\"} 3\n\
             # HELP open Open.\n# TYPE open gauge\nopen -1\n"
        );
    }

    const UPPER: [Duration; 2] = [Duration::from_micros(100), Duration::from_secs(1)];

    #[test]
    fn buckets_are_cumulative_and_in_the_unit_of_the_name() {
        let bounds = Bounds {
            upper: &UPPER,
            unit: Duration::from_secs(1),
        };
        let histogram = Histogram::<3>::default();
        for micros in [50, 60, 200, 2_000_000] {
            histogram.observe(&bounds, Duration::from_micros(micros));
        }
        let mut all = Distribution::new(3);
        all.add(&histogram);
        let mut text = Text::default();
        let labels = Labels::none().with("a", "b");
        let family = Family::histogram("took_seconds", "Took.");
        text.histograms(family, &bounds, [(&labels, &all)]);
        assert_eq!(
            text.into_string(),
            "# HELP took_seconds Took.\n# TYPE took_seconds histogram\n\
             took_seconds_bucket{a=\"b\",le=\"0.0001\"} 2\n\
             took_seconds_bucket{a=\"b\",le=\"1\"} 3\n\
             took_seconds_bucket{a=\"b\",le=\"+Inf\"} 4\n\
             took_seconds_sum{a=\"b\"} 2.00031\n\
             took_seconds_count{a=\"b\"} 4\n"
        );
    }
}
