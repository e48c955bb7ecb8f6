"""`python -m farshore_coalescer`: wires the service, nothing else."""

from farshore.ontap.access import check_access
from farshore.service import service_main
from farshore_coalescer.coalescer import run

main = service_main("farshore-coalescer", run, needs=check_access)

if __name__ == "__main__":
    main()
