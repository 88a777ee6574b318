#![no_main]

scaidns_fuzz::drive!(server_zone);
