mod language;
mod naive;
mod relations;
