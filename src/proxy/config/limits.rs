//! The limits, from flags and variables.

use std::time::Duration;

use super::{Misuse, args::Args, value, variables::Variables};
use crate::proxy::limits::Limits;

pub(super) fn choose(args: &Args, env: &Variables<'_>) -> Result<Limits, Misuse> {
    let default = Limits::default();
    let count = |flag, given: &Option<String>, variable, default: usize| {
        let chosen = env.choose((flag, given.clone()), variable, value::count)?;
        Ok::<_, Misuse>(chosen.unwrap_or(default))
    };
    let size = |flag, given: &Option<String>, variable, default: u64| {
        let chosen = env.choose((flag, given.clone()), variable, value::size)?;
        Ok::<_, Misuse>(chosen.unwrap_or(default))
    };
    let time = |flag, given: &Option<String>, variable, default: Duration| {
        let chosen = env.choose((flag, given.clone()), variable, value::timeout)?;
        Ok::<_, Misuse>(chosen.unwrap_or(default))
    };
    Ok(Limits {
        connections: count(
            "--max-connections",
            &args.max_connections,
            "MAX_CONNECTIONS",
            default.connections,
        )?,
        head: size("--max-head", &args.max_head, "MAX_HEAD", default.head)?,
        target: size(
            "--max-target",
            &args.max_target,
            "MAX_TARGET",
            default.target,
        )?,
        fields: env
            .choose(
                ("--max-headers", args.max_headers.clone()),
                "MAX_HEADERS",
                value::fields,
            )?
            .unwrap_or(default.fields),
        head_time: time(
            "--header-timeout",
            &args.header_timeout,
            "HEADER_TIMEOUT",
            default.head_time,
        )?,
        idle_time: time(
            "--idle-timeout",
            &args.idle_timeout,
            "IDLE_TIMEOUT",
            default.idle_time,
        )?,
        h2_age: time("--h2-age", &args.h2_age, "H2_AGE", default.h2_age)?,
        h2_streams: count(
            "--h2-streams",
            &args.h2_streams,
            "H2_STREAMS",
            default.h2_streams,
        )?,
        h2_resets: count(
            "--h2-resets",
            &args.h2_resets,
            "H2_RESETS",
            default.h2_resets,
        )?,
        h2_window: size(
            "--h2-window",
            &args.h2_window,
            "H2_WINDOW",
            default.h2_window,
        )?,
        waiting: count(
            "--max-waiting",
            &args.max_waiting,
            "MAX_WAITING",
            default.waiting,
        )?,
        fills: size("--max-fills", &args.max_fills, "MAX_FILLS", default.fills)?,
        envelopes: size(
            "--max-envelopes",
            &args.max_envelopes,
            "MAX_ENVELOPES",
            default.envelopes,
        )?,
    })
}
