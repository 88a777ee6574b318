#![no_main]

scaidns_fuzz::drive!(record);
