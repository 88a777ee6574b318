#![no_main]

scaidns_fuzz::drive!(token);
