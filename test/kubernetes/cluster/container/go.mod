module purser.dev/test/container

go 1.24.0
