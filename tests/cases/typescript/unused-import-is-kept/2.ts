join("a", "b") + typeof os.cpus
