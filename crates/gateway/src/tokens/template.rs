//! Chat templates, rendered as Python's jinja2 does it for Hugging Face's library.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value as Jinja};
use minijinja::{Environment, Error, ErrorKind, context};
use serde::Serialize as _;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use telemetry::clock;

use super::chat::Chat;

/// Steps after which a template is given up: it is data from elsewhere.
const FUEL: u64 = 20_000_000;

const NAME: &str = "chat";

/// The tokens that templates write themselves.
#[derive(Debug, Default)]
pub(super) struct Specials {
    /// At the beginning of a sequence.
    pub(super) bos: Option<String>,
    /// At its end.
    pub(super) eos: Option<String>,
}

/// A template, parsed.
#[derive(Debug)]
pub(super) struct Template {
    environment: Environment<'static>,
    specials: Specials,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// Where it is none.
    pub(super) fn new(text: String, specials: Specials) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", to_json);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_template_owned(NAME, without_marks(text))?;
        Ok(Self { environment, specials })
    }

    /// The text of a chat, up to where the answer begins.
    pub(super) fn render(&self, chat: &Chat) -> Result<String, Error> {
        let more = chat.chat_template_kwargs.as_ref().map(|more| Jinja::from(Serde(more))).unwrap_or_default();
        let known = context! {
            messages => Serde(chat.messages()),
            tools => chat.tools.clone(),
            add_generation_prompt => chat.add_generation_prompt.unwrap_or(true),
            bos_token => self.specials.bos.as_deref().unwrap_or_default(),
            eos_token => self.specials.eos.as_deref().unwrap_or_default(),
        };
        self.environment.get_template(NAME)?.render(context! { ..known, ..more })
    }
}

/// A template without the marks around what an assistant generates, which Hugging Face's library adds to the language and
/// which write nothing.
fn without_marks(mut text: String) -> String {
    for word in ["generation", "endgeneration"] {
        for (open, close) in [("{%", "%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%-", "-%}")] {
            // A comment trims the same white space.
            let comment = (open.replace('%', "#"), close.replace('%', "#"));
            text = text.replace(&format!("{open} {word} {close}"), &format!("{}{}", comment.0, comment.1));
        }
    }
    text
}

fn raise_exception(message: &str) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.to_owned()))
}

/// JSON as Python writes it: with a space after commas and colons, and nothing escaped for HTML.
#[expect(clippy::needless_pass_by_value, reason = "how the engine hands keyword arguments to a filter")]
fn to_json(value: &Jinja, options: Kwargs) -> Result<Jinja, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let mut out = Vec::new();
    let written = match indent {
        Some(width) => {
            let indent = " ".repeat(width.min(16));
            value.serialize(&mut Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(indent.as_bytes())))
        }
        None => value.serialize(&mut Serializer::with_formatter(&mut out, Spaced)),
    };
    written.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(Jinja::from_safe_string(String::from_utf8_lossy(&out).into_owned()))
}

/// Python's separators.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: std::io::Write + ?Sized>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: std::io::Write + ?Sized>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: std::io::Write + ?Sized>(&mut self, out: &mut W) -> std::io::Result<()> {
        out.write_all(b": ")
    }
}

/// Today, in the letters that templates use.
fn strftime_now(format: &str) -> String {
    let days = clock::now().unix_nanos() / 86_400_000_000_000;
    date(days, format)
}

/// The day that is `days` after 1970-01-01: `%Y %m %d %B %b %y`; whatever else is asked for stays as it is.
fn date(days: u64, format: &str) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let (year, month, day) = civil(days);
    let name = MONTHS[month as usize - 1];
    let parts = [
        ("%Y", year.to_string()),
        ("%y", format!("{:02}", year % 100)),
        ("%m", format!("{month:02}")),
        ("%d", format!("{day:02}")),
        ("%B", name.to_owned()),
        ("%b", name[..3].to_owned()),
    ];
    parts.iter().fold(format.to_owned(), |text, (letter, value)| text.replace(letter, value))
}

/// Year, month and day, by counting in eras of 400 years that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(template: &str, body: impl std::fmt::Display) -> Result<String, Error> {
        let specials = Specials { bos: Some("<s>".to_owned()), eos: None };
        let template = Template::new(template.to_owned(), specials)?;
        template.render(&serde_json::from_str(&body.to_string()).unwrap())
    }

    const CHATML: &str = "{{ bos_token }}{% for message in messages %}\n\
        <|im_start|>{{ message['role'] }}\n{{ message.content.strip() }}<|im_end|>\n{% endfor %}\n\
        {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    #[test]
    fn a_template_of_the_usual_kind_renders_as_in_python() {
        let body = json!({"messages": [{"role": "user", "content": " hi "}]});
        let expected = "<s><|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n";
        assert_eq!(render(CHATML, body).unwrap(), expected);
    }

    #[test]
    fn json_is_pythons_and_is_not_escaped_for_html() {
        let body = r#"{"messages": [], "tools": [{"b": 1, "a": ["<x>", "é"]}]}"#;
        assert_eq!(render("{{ tools | tojson }}", body).unwrap(), r#"[{"b": 1, "a": ["<x>", "é"]}]"#);
        assert!(render("{{ tools | tojson(indent=4) }}", body).unwrap().contains("\n        \"b\": 1"));
    }

    #[test]
    fn a_template_can_refuse_and_cannot_run_for_ever() {
        let body = json!({"messages": []});
        let refused = render("{{ raise_exception('roles must alternate') }}", body.clone()).unwrap_err();
        assert!(refused.to_string().contains("roles must alternate"));
        assert!(render("{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}", body).is_err());
    }

    #[test]
    fn marks_and_variables_of_its_own_are_understood() {
        let body = json!({"messages": [], "chat_template_kwargs": {"enable_thinking": false}});
        let template = "{%- generation -%}a{% endgeneration %}{% if enable_thinking is false %}b{% endif %}";
        assert_eq!(render(template, body).unwrap(), "ab");
    }

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (days, date) in [(0, (1970, 1, 1)), (59, (1970, 3, 1)), (11_016, (2000, 2, 29)), (20_785, (2026, 11, 28))] {
            assert_eq!(civil(days), date);
        }
        assert_eq!(date(11_016, "%d %b %Y, %B %y"), "29 Feb 2000, February 00");
    }
}
