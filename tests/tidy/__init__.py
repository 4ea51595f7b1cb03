"""How the source is arranged: floors whose imports point down, no circles, small files with a header, unsafe code in two crates."""
