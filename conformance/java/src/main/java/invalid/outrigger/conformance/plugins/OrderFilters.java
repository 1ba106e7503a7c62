package invalid.outrigger.conformance.plugins;

import org.apache.apisix.plugin.runner.HttpRequest;
import org.apache.apisix.plugin.runner.HttpResponse;
import org.apache.apisix.plugin.runner.filter.PluginFilter;
import org.apache.apisix.plugin.runner.filter.PluginFilterChain;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** Three filters that note when they ran, and that they were the last to run. */
@Configuration
public class OrderFilters {

  @Bean
  public PluginFilter orderA() {
    return new Order("a");
  }

  @Bean
  public PluginFilter orderB() {
    return new Order("b");
  }

  @Bean
  public PluginFilter orderC() {
    return new Order("c");
  }

  static class Order implements PluginFilter {
    private final String mark;

    Order(String mark) {
      this.mark = mark;
    }

    @Override
    public String name() {
      return "conf-order-" + mark;
    }

    @Override
    public void filter(HttpRequest request, HttpResponse response, PluginFilterChain chain) {
      request.setHeader("X-Ran-" + mark, Long.toString(System.nanoTime()));
      request.setHeader("X-Last", mark);
      chain.filter(request, response);
    }
  }
}
