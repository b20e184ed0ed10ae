"""The lab's stand-in for Ballerina: the runtime of its executables, `bal`, and Central."""
