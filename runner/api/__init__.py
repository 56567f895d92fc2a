"""What a notebook calls; `import cellwire as cw` hands it on."""
