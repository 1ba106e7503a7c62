//! The local time as logs write it. A second is put into words once.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A worker's clock on the wall. The time zone is the system's, or that of the
/// variable `TZ`, as it was when the worker first wanted to know.
pub(crate) struct LocalTime {
    zone: TimeZone,
    last: RefCell<Words>,
}

#[derive(Default)]
struct Words {
    /// Seconds since 1970; nothing is known yet of 0.
    second: u64,
    common_log: String,
    iso8601: String,
}

impl Default for LocalTime {
    fn default() -> Self {
        Self::in_zone(TimeZone::system())
    }
}

impl LocalTime {
    fn in_zone(zone: TimeZone) -> Self {
        LocalTime {
            zone,
            last: RefCell::default(),
        }
    }

    /// `28/Sep/1970:12:00:00 +0600`.
    pub(crate) fn common_log(&self, time: SystemTime) -> String {
        self.at(time);
        self.last.borrow().common_log.clone()
    }

    /// `1970-09-28T12:00:00+06:00`.
    pub(crate) fn iso8601(&self, time: SystemTime) -> String {
        self.at(time);
        self.last.borrow().iso8601.clone()
    }

    fn at(&self, time: SystemTime) {
        let second = time
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let mut last = self.last.borrow_mut();
        if last.second == second && second != 0 {
            return;
        }
        let stamp = i64::try_from(second).ok();
        let stamp = stamp.and_then(|second| Timestamp::from_second(second).ok());
        let local = stamp.unwrap_or_default().to_zoned(self.zone.clone());
        *last = Words {
            second,
            common_log: local.strftime("%d/%b/%Y:%H:%M:%S %z").to_string(),
            iso8601: local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::offset;
    use std::time::Duration;

    #[test]
    fn times_are_written_as_nginx_writes_them() {
        let clock = LocalTime::in_zone(TimeZone::fixed(offset(6)));
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        for seconds in [23_349_600, 23_349_600, 23_349_601] {
            let second = seconds - 23_349_600;
            assert_eq!(
                clock.common_log(at(seconds)),
                format!("28/Sep/1970:12:00:0{second} +0600")
            );
            assert_eq!(
                clock.iso8601(at(seconds)),
                format!("1970-09-28T12:00:0{second}+06:00")
            );
        }
        assert_eq!(clock.common_log(UNIX_EPOCH), "01/Jan/1970:06:00:00 +0600");
    }
}
