//! `GET /metrics`: JSON, or OpenMetrics text for whom `Accept` says that it is preferred.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::Number;

use super::{
    body::Spliced,
    error::{json, own},
};
use crate::metrics::{Metrics, Value};

/// The endpoint.
#[derive(Clone, Debug)]
pub(super) struct MetricsPage(Metrics);

impl MetricsPage {
    pub(super) fn new(metrics: Metrics) -> Self {
        MetricsPage(metrics)
    }

    pub(super) fn answer(&self, headers: &HeaderMap) -> Response<Spliced> {
        let mut response = if prefers_text(headers) {
            const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            own(StatusCode::OK, OPEN_METRICS, self.0.open_metrics())
        } else {
            json(StatusCode::OK, print(self.0.snapshot().fields()))
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::VARY, HeaderValue::from_static("accept"));
        response
    }
}

/// The order of the fields is part of what is promised, so this is no map.
fn print(fields: &[(&'static str, Value)]) -> String {
    let lines: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("    \"{name}\": {}", number(*value)))
        .collect();
    let lines = lines.join(",\n");
    format!("{{\n  \"success\": true,\n  \"metrics\": {{\n{lines}\n  }}\n}}\n")
}

fn number(value: Value) -> Number {
    match value {
        Value::Int(whole) => whole.into(),
        // None for what is not finite, which no ratio is.
        Value::Float(ratio) => Number::from_f64(ratio).unwrap_or_else(|| 0.into()),
    }
}

/// Whether the text form is preferred to JSON (RFC 9110 §12.5.1). JSON wins a tie.
fn prefers_text(headers: &HeaderMap) -> bool {
    let (mut text, mut json, mut any) = (0.0f32, None::<f32>, 0.0f32);
    let lines = headers.get_all(header::ACCEPT).iter();
    for range in lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
    {
        let mut parts = range.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        match essence.as_str() {
            "application/openmetrics-text" | "text/plain" | "text/*" => text = text.max(weight),
            "application/json" => json = Some(json.map_or(weight, |known| known.max(weight))),
            "application/*" | "*/*" => any = any.max(weight),
            _ => {}
        }
    }
    text > json.unwrap_or(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefers(accept: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static(accept));
        prefers_text(&headers)
    }

    #[test]
    fn a_scraper_gets_text_and_others_json() {
        assert!(prefers(
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
             version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
        ));
        assert!(prefers("text/plain"));
        assert!(!prefers("*/*"));
        assert!(!prefers("application/json, text/plain, */*"));
        assert!(!prefers(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        ));
        assert!(!prefers("text/plain;q=0"));
        assert!(!prefers_text(&HeaderMap::new()));
    }

    #[test]
    fn fields_keep_their_order_and_a_ratio_its_point() {
        let fields = [
            ("total_requests", Value::Int(0)),
            ("cache_hit_ratio", Value::Float(0.0)),
        ];
        assert_eq!(
            print(&fields),
            "{\n  \"success\": true,\n  \"metrics\": {\n    \"total_requests\": 0,\n    \
             \"cache_hit_ratio\": 0.0\n  }\n}\n"
        );
    }
}
