//! Client and server together: what a program that calls sees.

mod calculator;
mod calls;
