//! A query, understood.

use std::fmt;

pub(crate) use super::op::Op;
use super::value::Literal;

/// A whole query.
#[derive(Clone, Debug)]
pub struct Query {
    /// What is done to the spans of each trace, in order.
    pub(super) pipeline: Vec<Stage>,
    /// What is counted over time; `None` where the query is a search.
    pub(super) metrics: Option<Metrics>,
    /// The names of all attributes in the query; [`Field::Attribute`] has an index into it.
    pub(super) names: Vec<String>,
    /// `with (exemplars=true, …)`.
    pub(super) hints: Vec<(String, Literal)>,
}

impl Query {
    /// Whether it asks for numbers over time rather than for traces.
    #[must_use]
    pub fn is_metrics(&self) -> bool {
        self.metrics.is_some()
    }
}

/// One stage of a pipeline.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Keeps some spans.
    Spans(SpansetExpr),
    /// Splits each spanset by a value.
    By(Expr),
    /// Puts a trace's spansets together again.
    Coalesce,
    /// Shows further fields of the spans.
    Select(Vec<Field>),
    /// Keeps the spansets for which a comparison of aggregates holds.
    Scalar(ScalarFilter),
}

/// Which spans of a spanset.
#[derive(Clone, Debug)]
pub(super) enum SpansetExpr {
    /// Those for which an expression holds.
    Filter(Expr),
    /// Two selections put in relation.
    Operation(Box<Self>, SpansetOp, Box<Self>),
    /// What a pipeline in parentheses leaves.
    Pipeline(Vec<Stage>),
}

/// How two selections of spans are put in relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpansetOp {
    /// Both, where neither is empty.
    And,
    /// Either.
    Or,
    /// By their places in the tree.
    Structural {
        /// Which way.
        relation: Relation,
        /// Those of the right side that do *not* stand so.
        negated: bool,
        /// Both sides' spans, not only the right side's.
        union: bool,
    },
}

/// How a span of the right side must stand to one of the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// `>`: it is its child.
    Child,
    /// `<`: it is its parent.
    Parent,
    /// `>>`: it is below it.
    Descendant,
    /// `<<`: it is above it.
    Ancestor,
    /// `~`: they have the same parent.
    Sibling,
}

/// A comparison of two scalars.
#[derive(Clone, Debug)]
pub(super) struct ScalarFilter {
    pub(super) left: Scalar,
    pub(super) op: Op,
    pub(super) right: Scalar,
}

/// A number per spanset.
#[derive(Clone, Debug)]
pub(super) enum Scalar {
    Literal(Literal),
    Aggregate(Aggregate, Option<Expr>),
    Arithmetic(Box<Self>, Op, Box<Self>),
}

/// How a spanset becomes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Count,
    Avg,
    Min,
    Max,
    Sum,
}

/// A value per span.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    Literal(Literal),
    Field(Field),
    Binary(Box<Self>, Op, Box<Self>),
    /// A comparison with a regular expression, which must match the whole text.
    Match {
        subject: Box<Self>,
        pattern: Pattern,
        negated: bool,
    },
    Not(Box<Self>),
    Negative(Box<Self>),
    /// `x != nil` and `x = nil`.
    Exists(Box<Self>, bool),
}

/// A regular expression and how it was written.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) text: String,
    pub(super) regex: regex::Regex,
}

/// Something that can be read from a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// An attribute.
    Attribute {
        /// Where to look.
        scope: Scope,
        /// Its name.
        name: String,
        /// Its index in [`Query::names`].
        slot: usize,
    },
    /// What every span has.
    Intrinsic(Intrinsic),
}

/// Where an attribute is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The span, then everything around it.
    Any,
    /// The span.
    Span,
    /// Who sent it.
    Resource,
    /// Its events.
    Event,
    /// Its links.
    Link,
    /// The instrumentation that made it.
    Instrumentation,
}

impl Scope {
    /// How it is spelt before an attribute.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Any => ".",
            Self::Span => "span.",
            Self::Resource => "resource.",
            Self::Event => "event.",
            Self::Link => "link.",
            Self::Instrumentation => "instrumentation.",
        }
    }
}

/// What every span has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Intrinsic {
    Name,
    Duration,
    Status,
    StatusMessage,
    Kind,
    ChildCount,
    SpanId,
    ParentId,
    TraceId,
    TraceDuration,
    RootName,
    RootService,
    NestedSetLeft,
    NestedSetRight,
    NestedSetParent,
    EventName,
    EventTime,
    LinkTraceId,
    LinkSpanId,
    ScopeName,
    ScopeVersion,
}

impl Intrinsic {
    /// By its name, scoped or not.
    pub(super) fn find(name: &str) -> Option<Self> {
        Some(match name {
            "name" | "span:name" => Self::Name,
            "duration" | "span:duration" => Self::Duration,
            "status" | "span:status" => Self::Status,
            "statusMessage" | "span:statusMessage" => Self::StatusMessage,
            "kind" | "span:kind" => Self::Kind,
            "childCount" | "span:childCount" => Self::ChildCount,
            "span:id" => Self::SpanId,
            "span:parentID" => Self::ParentId,
            "trace:id" => Self::TraceId,
            "traceDuration" | "trace:duration" => Self::TraceDuration,
            "rootName" | "trace:rootName" => Self::RootName,
            "rootServiceName" | "trace:rootService" => Self::RootService,
            "nestedSetLeft" => Self::NestedSetLeft,
            "nestedSetRight" => Self::NestedSetRight,
            "nestedSetParent" => Self::NestedSetParent,
            "event:name" => Self::EventName,
            "event:timeSinceStart" => Self::EventTime,
            "link:traceID" => Self::LinkTraceId,
            "link:spanID" => Self::LinkSpanId,
            "instrumentation:name" => Self::ScopeName,
            "instrumentation:version" => Self::ScopeVersion,
            _ => return None,
        })
    }

    /// How Tempo spells it in an answer.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Duration => "duration",
            Self::Status => "status",
            Self::StatusMessage => "statusMessage",
            Self::Kind => "kind",
            Self::ChildCount => "childCount",
            Self::SpanId => "span:id",
            Self::ParentId => "span:parentID",
            Self::TraceId => "trace:id",
            Self::TraceDuration => "traceDuration",
            Self::RootName => "rootName",
            Self::RootService => "rootServiceName",
            Self::NestedSetLeft => "nestedSetLeft",
            Self::NestedSetRight => "nestedSetRight",
            Self::NestedSetParent => "nestedSetParent",
            Self::EventName => "event:name",
            Self::EventTime => "event:timeSinceStart",
            Self::LinkTraceId => "link:traceID",
            Self::LinkSpanId => "link:spanID",
            Self::ScopeName => "instrumentation:name",
            Self::ScopeVersion => "instrumentation:version",
        }
    }

    /// Whether it cannot be told from a span alone.
    pub(super) fn is_of_trace(self) -> bool {
        matches!(
            self,
            Self::ChildCount
                | Self::TraceDuration
                | Self::RootName
                | Self::RootService
                | Self::NestedSetLeft
                | Self::NestedSetRight
                | Self::NestedSetParent
        )
    }
}

/// What is counted over time.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    /// The first stage.
    pub(super) function: Function,
    /// What series are told apart by.
    pub(super) by: Vec<Field>,
    /// What is done to the series.
    pub(super) then: Vec<SecondStage>,
}

/// The first stage of a metrics query.
#[derive(Clone, Debug)]
pub(super) enum Function {
    Rate,
    Count,
    Min(Field),
    Max(Field),
    Avg(Field),
    Sum(Field),
    Quantile(Field, Vec<f64>),
    Histogram(Field),
    /// Spans for which an expression holds beside the others: the `top` most frequent values of each attribute.
    Compare {
        selection: Box<Expr>,
        top: usize,
        window: Option<(u64, u64)>,
    },
}

/// A later stage of a metrics query.
#[derive(Clone, Debug)]
pub(super) enum SecondStage {
    Top(usize),
    Bottom(usize),
    Filter(Op, f64),
}

impl Aggregate {
    fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Sum => "sum",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute { scope, name, .. } => {
                f.write_str(scope.prefix())?;
                if name.chars().any(|c| c.is_whitespace() || "{}()=~!<>&|^,".contains(c)) {
                    write!(f, "\"{name}\"")
                } else {
                    f.write_str(name)
                }
            }
            Self::Intrinsic(intrinsic) => f.write_str(intrinsic.as_str()),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal) => write!(f, "{literal}"),
            Self::Field(field) => write!(f, "{field}"),
            Self::Binary(left, op, right) => write!(f, "{} {} {}", Inner(left), op.as_str(), Inner(right)),
            Self::Match { subject, pattern, negated } => {
                write!(f, "{} {} `{}`", Inner(subject), if *negated { "!~" } else { "=~" }, pattern.text)
            }
            Self::Not(inner) => write!(f, "!{}", Inner(inner)),
            Self::Negative(inner) => write!(f, "-{}", Inner(inner)),
            Self::Exists(inner, true) => write!(f, "{} != nil", Inner(inner)),
            Self::Exists(inner, false) => write!(f, "{} = nil", Inner(inner)),
        }
    }
}

/// An operand: in parentheses where it is an operation itself.
struct Inner<'a>(&'a Expr);

impl fmt::Display for Inner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            simple @ (Expr::Literal(_) | Expr::Field(_)) => write!(f, "{simple}"),
            operation => write!(f, "({operation})"),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal) => write!(f, "{literal}"),
            Self::Aggregate(aggregate, None) => write!(f, "{}()", aggregate.as_str()),
            Self::Aggregate(aggregate, Some(of)) => write!(f, "{}({of})", aggregate.as_str()),
            Self::Arithmetic(left, op, right) => write!(f, "({left}) {} ({right})", op.as_str()),
        }
    }
}
