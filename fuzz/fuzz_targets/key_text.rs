#![no_main]

scaidns_fuzz::drive!(key_text);
