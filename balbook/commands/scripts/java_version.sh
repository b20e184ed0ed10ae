# java_version: what the runtime calls itself, such as 17.0.15; nothing where there is none. Where JAVA_TOOL_OPTIONS is set, other
# lines come before the one with the version.
java_version() {
  java -version 2>&1 | sed -n 's/.* version "\([^"]*\)".*/\1/p' | sed -n '1p'
}
