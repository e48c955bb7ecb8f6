"""`python -m farshore_coalescer`: wires the service, nothing else."""

from farshore.service import service_main
from farshore_coalescer.coalescer import run

main = service_main("farshore-coalescer", run)

if __name__ == "__main__":
    main()
