from bench.analysis.simulation.study import main

main()
