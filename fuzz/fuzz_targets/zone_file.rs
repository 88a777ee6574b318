#![no_main]

scaidns_fuzz::drive!(zone_file);
